// The configuration that is built into a package. Packing replaces this file; in the plain
// build there is none, and the options page asks for the server's address.

/** @type {Builtin | null} */
export const builtin = null;
