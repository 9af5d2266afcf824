signpost.configuration = "__SIGNPOST_CONFIGURATION__";
