// Says whether there is something to trust, and opens the steps of the device at hand.

const state = /** @type {HTMLElement} */ (document.getElementById("state"));

/** The section that fits this browser. */
function platform() {
  const agent = navigator.userAgent;
  if (/android/i.test(agent)) return "android";
  if (/iphone|ipad|ipod/i.test(agent) || (/mac/i.test(agent) && navigator.maxTouchPoints > 1)) return "ios";
  if (/mac/i.test(agent)) return "mac";
  return /windows/i.test(agent) ? "windows" : "linux";
}

async function look() {
  document.getElementById(platform())?.setAttribute("open", "");
  try {
    const { authority } = await (await fetch("/v1/web")).json();
    if (!authority) {
      state.textContent = "This station has no certificate of its own. Start it with “sensorline up --https”.";
      state.classList.add("warn");
    } else if (window.isSecureContext && location.protocol === "https:") {
      state.textContent = "This page came by HTTPS. If your browser shows no warning, this device trusts the station already.";
    } else {
      state.textContent = "This page came without HTTPS. Do the steps, then open the station's https:// address.";
    }
  } catch {
    state.textContent = "The station does not answer. Is it running, and is this device on its network?";
    state.classList.add("bad");
  }
}

void look();
