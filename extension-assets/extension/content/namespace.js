// The one name that the content scripts define, in the world that they share with nobody.
"use strict";

/** @type {ContentScripts} */
const signpost = /** @type {any} */ ({});
