/** The bar that labels one object: a button and a key for each class, a field for any other label, and a comment. */

import { fill, h } from "./dom.js";
import { classes, glyph } from "./glyph.js";
import { labels } from "./labels.js";
import { showError } from "./messages.js";

export class LabelBar {
  /** @param {() => any} object the one on show, null if there is none: {row, name, label, comment} */
  constructor(object) {
    this.object = object;
    this.buttons = h("div", { class: "label-buttons", role: "radiogroup", "aria-label": "Your label" });
    this.other = /** @type {HTMLInputElement} */ (
      h("input", {
        type: "text",
        placeholder: "other label",
        "aria-label": "Another label",
        autocomplete: "off",
        spellcheck: "false",
        onchange: () => this.other.value.trim() && this.choose(this.other.value.trim()),
      })
    );
    this.comment = /** @type {HTMLInputElement} */ (
      h("input", {
        type: "text",
        id: "comment",
        placeholder: "Comment  c",
        "aria-label": "Comment",
        autocomplete: "off",
        onchange: () => this.change({ comment: this.comment.value.trim() || null }),
        onkeydown: (event) => this.key(event),
      })
    );
    this.saved = h("span", { class: "saved", role: "status" });
    this.element = h(
      "section",
      { class: "relabel" },
      this.buttons,
      h("div", { class: "label-fields" }, this.other, this.comment, this.saved),
    );
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Enter") this.comment.blur();
  }

  /** @returns {string[]} labels of the buttons and digits */
  get choices() {
    return labels.about.names.length ? labels.about.names : classes();
  }

  /** @param {string} state shown beside the comment */
  show(state = "") {
    const { label, comment } = this.object();
    const button = (/** @type {string} */ name, /** @type {number} */ k) =>
      h(
        "button",
        {
          type: "button",
          role: "radio",
          "aria-checked": String(name === label),
          onclick: () => this.choose(name === label ? null : name),
        },
        k < 9 && h("kbd", {}, String(k + 1)),
        glyph(name),
        name,
      );
    fill(this.buttons, this.choices.map(button));
    if (document.activeElement !== this.comment) this.comment.value = comment ?? "";
    this.other.value = label && !this.choices.includes(label) ? label : "";
    this.saved.textContent = state || (label ? `label: ${label}` : "");
  }

  /** @param {string|null} label */
  choose(label) {
    return this.change({ label });
  }

  /** @param {number} digit from 1 */
  chooseByDigit(digit) {
    const label = this.choices[digit - 1];
    if (label) this.choose(label);
  }

  /** @param {{label?: string|null, comment?: string|null}} change */
  async change(change) {
    const object = this.object();
    if (!object) return; // it has been closed
    this.saved.textContent = "saving…";
    try {
      await labels.change(object, change);
      if (this.object()?.row === object.row) this.show("✓ saved");
    } catch (error) {
      this.saved.textContent = "not saved";
      showError(error);
    }
  }
}
