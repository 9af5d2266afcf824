// In this order; not "content/old.js".
export const contentScripts = [
  "content/page.js", // what is shown
  'content/main.js',
];
