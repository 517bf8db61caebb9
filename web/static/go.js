// On to the page at once, and the secret link out of the phone's history.
location.replace(document.querySelector(".go").href);
