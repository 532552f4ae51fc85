// Asks for the figures every two seconds while somebody looks, and draws those that are on the screen. Drawing is dear
// where there is no graphics card, so it is not done again before fifty times what it took has passed.
(() => {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 2000));
  const sections = [...document.querySelectorAll("[data-figure]")];
  const stale = new Set();
  const status = document.createElement("p");
  status.className = "quiet";
  status.id = "live";
  status.setAttribute("role", "status");
  status.style.marginRight = "4rem"; // the button of the theme is there
  status.textContent = "Live: this page follows the training.";
  document.querySelector("main").prepend(status);
  let tag = "", figures = {}, rested = 0;

  const onScreen = (section) => {
    const { top, bottom } = section.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };

  async function draw() {
    const seen = sections.filter((section) => stale.has(section) && onScreen(section));
    if (!seen.length) return;
    seen.forEach((section) => stale.delete(section));
    const begin = performance.now();
    await report.draw(figures, seen);
    rested = performance.now() + 50 * (performance.now() - begin);
  }
  addEventListener("scroll", draw, { passive: true });

  function take({ head, shows, figures: found }) {
    document.getElementById("head").innerHTML = head;
    for (const section of sections) {
      section.classList.remove("shows", "good", "soft", "bad");
      if (section.id === shows.figure) section.classList.add("shows", shows.mood);
      stale.add(section);
    }
    figures = found;
  }

  // Whether there is more to come.
  async function ask() {
    const answer = await fetch("figures.json", { cache: "no-store", headers: { "If-None-Match": tag } });
    if (answer.status === 304) return true;
    if (!answer.ok) throw new Error(answer.statusText);
    tag = answer.headers.get("ETag");
    const found = await answer.json();
    take(found);
    return found.training;
  }

  async function follow() {
    await report.ready;
    for (let failures = 0; failures < 3; await pause()) {
      if (document.hidden) continue;
      try {
        const training = await ask();
        if (!training || performance.now() >= rested) await draw();
        if (!training) return "Training has ended; these are its last figures.";
        failures = 0;
      } catch {
        failures += 1;
      }
    }
    return "Training has ended; these are the last figures that this page saw. For all of them: ddpg-jax report";
  }

  follow().then((end) => (status.textContent = end));
})();
