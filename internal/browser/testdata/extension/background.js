globalThis.answered = 0;
chrome.runtime.onMessage.addListener((address, _sender, answer) => {
  fetch(address, {credentials: "omit"})
    .then((response) => response.text())
    .catch((error) => String(error))
    .then((text) => {
      globalThis.answered++;
      answer(text);
    });
  return true;
});
