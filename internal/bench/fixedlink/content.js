// The least that an extension can do on a page: no question, no state, no second look.
const link = document.createElement("a");
link.className = "aui-button";
link.dataset.signpost = "view";
link.dataset.signpostState = "link";
link.href = "https://sourcegraph.example.com/";
link.textContent = "View on Sourcegraph";
document.querySelector(".branch-selector-toolbar .aui-buttons").append(link);
