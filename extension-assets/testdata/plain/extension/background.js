import { builtin } from "./builtin.js"; globalThis.builtin = builtin;
