// Fills the list of versions from versions.json, which stands beside the folders of the versions. Without it (one
// version, opened from a disk) there is no list.
document.addEventListener("DOMContentLoaded", async () => {
  const list = document.getElementById("versions");
  const root = new URL(list.dataset.root || "./", location.href);
  const here = root.pathname.split("/").filter(Boolean).at(-1);
  const answer = await fetch(new URL("../versions.json", root)).catch(() => null);
  if (!answer?.ok) return;
  for (const version of await answer.json()) {
    list.add(new Option(version, version, false, version === here));
  }
  list.addEventListener("change", async () => {
    const other = new URL(`../${list.value}/`, root);
    const page = new URL(list.dataset.page, other);
    const there = await fetch(page, { method: "HEAD" }).catch(() => null);
    location.href = there?.ok ? page : other;
  });
  list.parentElement.hidden = false;
});
