// From a disk a page cannot read others, so search shows titles without their text; from a server it shows both.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
