signpost.start = () => {};
