// Asks for the host's token, where pages need one.
"use strict";
// Where to go afterwards: the page that was asked for. After a wrong token this is /login itself.
const here = location.pathname + location.search;
document.getElementById("back").value = here.startsWith("/login") ? sessionStorage.getItem("back") || "/" : here;
if (!here.startsWith("/login")) sessionStorage.setItem("back", here);
document.getElementById("wrong").hidden = !here.startsWith("/login");
