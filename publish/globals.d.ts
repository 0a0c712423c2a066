// What other programs of a page leave for ours: reveal.js on slides, Sphinx on the site.
declare const Reveal: any;
declare const RevealNotes: any;
declare const DOCUMENTATION_OPTIONS: { SHOW_SEARCH_SUMMARY: boolean };
