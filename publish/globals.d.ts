// What other programs of a page leave for ours: reveal.js on slides, Sphinx on the site.
declare const Reveal: any;
declare const RevealNotes: any;
declare const DOCUMENTATION_OPTIONS: { SHOW_SEARCH_SUMMARY: boolean };

// What static_widgets.js finds on a page, and leaves there.
declare var masksPrograms: Record<string, string>;
declare var masksPage: any;
