// The settings that can be changed while the process runs.
import { element } from "./dom.js";

const SETTINGS = [
  ["sampling", "Sampling", "a ratio or a sampler, then rules, such as 0.1,GET /health=0"],
  ["keep", "Keep", "none, or some of errors, slower_than=500ms, per_second=50"],
  ["log_filter", "Log filter", "directives, such as info,users=debug"],
];

/** Shows settings, and sends changes to the process. */
export class Settings {
  #fields = new Map();

  constructor(form) {
    for (const [name, title, hint] of SETTINGS) {
      const input = element("input", { id: `set-${name}`, spellcheck: "false", autocomplete: "off", title: hint });
      const button = element("button", { type: "button", disabled: true }, "Set");
      const result = element("p", { class: "result", role: "status" });
      const field = { input, button, result, current: "" };
      this.#fields.set(name, field);
      input.addEventListener("input", () => { button.disabled = input.value === field.current; });
      input.addEventListener("keydown", (event) => { if (event.key === "Enter") this.#set(name); });
      button.addEventListener("click", () => this.#set(name));
      form.append(element("label", { for: input.id }, title), input, button, result);
    }
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Shows what the process uses, except where somebody is typing. */
  show(settings) {
    for (const [name, field] of this.#fields) {
      const isEdited = field.input.value !== field.current;
      field.current = settings[name] ?? "";
      if (!isEdited) field.input.value = field.current;
      field.button.disabled = field.input.value === field.current;
    }
  }

  async #set(name) {
    const { input, button, result } = this.#fields.get(name);
    button.disabled = true;
    const response = await fetch(`control/${name}`, { method: "PUT", body: input.value }).catch(() => null);
    const text = response === null ? "The process does not respond." : (await response.text()).trim();
    const isSet = response?.ok ?? false;
    if (isSet) this.#fields.get(name).current = input.value = text;
    button.disabled = isSet;
    result.textContent = isSet ? "Set." : text;
    result.classList.toggle("refused", !isSet);
  }
}
