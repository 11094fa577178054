"use strict";
(function () {
  var root = document.documentElement;
  var search = document.getElementById("search"), theme = document.getElementById("theme"), expand = document.getElementById("expand");
  var shown = document.getElementById("shown");
  var rows = Array.prototype.slice.call(document.querySelectorAll("tr[data-of]"));
  var closures = Array.prototype.slice.call(document.querySelectorAll("details.closure"));

  // The switch between dark and light; what was chosen is kept where the browser keeps anything.
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function dark() { return root.dataset.theme ? root.dataset.theme === "dark" : system.matches; }
  function name() { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-label", "Switch to " + (dark() ? "light" : "dark") + " colours"); }
  function stored(value) {
    try {
      if (value) { localStorage.setItem("lockgen-report-theme", value); }
      return localStorage.getItem("lockgen-report-theme");
    } catch (e) { return null; }
  }
  var kept = stored();
  if (!root.dataset.theme && (kept === "dark" || kept === "light")) { root.dataset.theme = kept; }
  theme.addEventListener("click", function () { root.dataset.theme = dark() ? "light" : "dark"; stored(root.dataset.theme); name(); });
  system.addEventListener("change", name);
  name();

  // Search: every word must be in the row of a plugin or in its closure.
  function find() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean), n = 0;
    rows.forEach(function (row, i) {
      var text = (row.textContent + " " + closures[i].textContent).toLowerCase();
      var hit = words.every(function (word) { return text.indexOf(word) >= 0; });
      row.hidden = closures[i].hidden = !hit;
      if (hit) { n++; }
      closures[i].querySelectorAll(".tree li > .name").forEach(function (at) {
        var line = at.parentNode, own = at.textContent.toLowerCase();
        line.classList.toggle("hit", words.length > 0 && words.some(function (word) { return own.indexOf(word) >= 0; }));
      });
    });
    shown.textContent = words.length ? n + " of " + rows.length + " plugins" : "";
  }
  search.addEventListener("input", find);

  // Keys: / searches, Escape shows everything, the arrows go through what is shown.
  function links() {
    return rows.filter(function (row) { return !row.hidden; }).map(function (row) { return row.querySelector("a"); });
  }
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    var at = document.activeElement, list = links(), i = list.indexOf(at);
    if (event.key === "/" && at !== search) { search.focus(); search.select(); }
    else if (event.key === "Escape" && search.value) { search.value = ""; find(); search.focus(); }
    else if (event.key === "ArrowDown" && (at === search || i >= 0) && list.length) { list[Math.min(i + 1, list.length - 1)].focus(); }
    else if (event.key === "ArrowUp" && i > 0) { list[i - 1].focus(); }
    else if (event.key === "ArrowUp" && i === 0) { search.focus(); }
    else { return; }
    event.preventDefault();
  });

  // A link to a closure opens it.
  function open() {
    var to = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (to && to.tagName === "DETAILS") { to.open = true; to.scrollIntoView(); to.querySelector("summary").focus({ preventScroll: true }); }
  }
  window.addEventListener("hashchange", open);
  rows.forEach(function (row) { row.querySelector("a").addEventListener("click", function () { setTimeout(open); }); });
  open();
  expand.addEventListener("click", function () {
    var all = closures.some(function (c) { return !c.open; });
    closures.forEach(function (c) { c.open = all; });
    expand.textContent = all ? "Close all" : "Open all";
  });

  // Ages, as of today.
  document.querySelectorAll("time").forEach(function (time) {
    var days = Math.floor((Date.now() - Date.parse(time.dateTime)) / 864e5);
    if (!(days >= 0)) { return; }
    var age = document.createElement("span");
    age.className = "muted";
    age.textContent = days < 60 ? days + " days" : days < 730 ? Math.round(days / 30.4) + " months" : Math.round(days / 365.25) + " years";
    time.after(" ", age);
  });
})();
