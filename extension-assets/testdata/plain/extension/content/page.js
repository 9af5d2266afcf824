const signpost = {};
