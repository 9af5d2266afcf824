// In this order.
export const contentScripts = [
  "content/page.js", // what is shown
  'content/main.js',
];
