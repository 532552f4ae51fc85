// Asks for the figures every two seconds while somebody looks, and draws them if they are others than before.
(() => {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 2000));
  const status = document.createElement("p");
  status.className = "quiet";
  status.id = "live";
  status.setAttribute("role", "status");
  status.style.marginRight = "4rem"; // the button of the theme is there
  status.textContent = "Live: this page follows the training.";
  document.querySelector("main").prepend(status);
  let tag = "";

  function show({ head, shows, figures }) {
    document.getElementById("head").innerHTML = head;
    for (const section of document.querySelectorAll("[data-figure]")) {
      section.classList.remove("shows", "good", "soft", "bad");
      if (section.id === shows.figure) section.classList.add("shows", shows.mood);
    }
    return report.draw(figures);
  }

  // Whether there is more to come.
  async function ask() {
    const answer = await fetch("figures.json", { cache: "no-store", headers: { "If-None-Match": tag } });
    if (answer.status === 304) return true;
    if (!answer.ok) throw new Error(answer.statusText);
    tag = answer.headers.get("ETag");
    const found = await answer.json();
    await show(found);
    return found.training;
  }

  async function follow() {
    await report.ready;
    for (let failures = 0; failures < 3; await pause()) {
      if (document.hidden) continue;
      try {
        if (!(await ask())) return "Training has ended; these are its last figures.";
        failures = 0;
      } catch {
        failures += 1;
      }
    }
    return "Training has ended; these are the last figures that this page saw. For all of them: ddpg-jax report";
  }

  follow().then((end) => (status.textContent = end));
})();
