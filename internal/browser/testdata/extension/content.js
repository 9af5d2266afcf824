chrome.runtime.sendMessage(new URL("/mark", location.href).href, (text) => {
  const mark = document.createElement("p");
  mark.id = "mark";
  mark.textContent = text;
  document.body.append(mark);
});
