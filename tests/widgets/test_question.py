"""Question on a page: asked, committed and answered by keyboard and mouse, for everybody, whatever its texts hold."""

import re

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from publish import document, paths, slides, static_widgets
from tests.support import firefox, widget_page
from tests.support.masklab_page import HOSTILE
from tests.support.widget_page import settle, until
from utils.widgets import Question

TEXT = "What happens to the weights when `attention_mask` ends in zeros?"
OPTIONS = ["The words share `1.0` among themselves.", "Nothing at all.", "The pads keep a little.", "All become `NaN`."]
FEEDBACK = [
    "Yes: `exp(-inf)` is 0. That is all.",
    "Look at the last columns.",
    "Not in float32.",
    "Only where a row is empty.",
]
#: What is said to B: its own feedback first, then what is right, and why, without the "Yes".
VERDICT = ["✗ Not right. Look at the last columns.", "✓ A is right. exp(-inf) is 0. That is all."]
#: What the page is told, in order, and by which element.
LISTEN = """() => {
  window.told = [];
  for (const name of ["masks-committed", "masks-asked-again"])
    document.addEventListener(name, ({ type, detail, target }) => told.push([type, detail, target.className]));
}"""


def one(**changed):
    return Question(**{"text": TEXT, "options": OPTIONS, "right": 0, "feedback": FEEDBACK, "id": "02/pads"} | changed)


def number(**changed):
    feedback = ["Three of seven keys are pads.", "Add up the last three columns."]
    return Question(**{"text": "How much?", "right": 25.5, "tolerance": 1, "unit": "%", "feedback": feedback} | changed)


def choice(page):
    return page.evaluate("model.get('choice')")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def marks(page, view=0):
    return page.locator(".question").nth(view).locator(".question-mark").all_text_contents()


def commit(page):
    return page.get_by_role("button", name="Commit")


# --- by keyboard -------------------------------------------------------------------------------------


def test_it_is_answered_with_the_keyboard_alone(open_widget):
    page = open_widget(one())
    page.evaluate(LISTEN)
    options, status = page.get_by_role("radio"), page.get_by_role("status")
    press(page, "Tab")
    expect(options.nth(0)).to_be_focused()
    press(page, "Enter")
    assert choice(page) is None
    expect(status).to_have_text("Choose an answer first.")
    expect(commit(page)).to_have_attribute("aria-disabled", "true")
    press(page, "Space", "ArrowDown", "ArrowDown", "ArrowUp")
    expect(options.nth(1)).to_be_checked()
    expect(status).to_have_text("")
    expect(commit(page)).to_have_attribute("aria-disabled", "false")
    assert (choice(page), page.evaluate("[saves, told.length]")) == (None, [0, 0]), "nothing is said before"
    press(page, "Enter")
    assert choice(page) == 1
    assert page.evaluate("saves") == 1
    expect(status.locator("p")).to_have_text(VERDICT)
    assert marks(page) == ["✓ This is right", "✗ Not right", "", ""]
    expect(options.nth(1)).to_be_focused()
    assert options.evaluate_all("all => all.map((each) => each.ariaDisabled)") == ["true"] * 4
    press(page, "ArrowDown", "ArrowDown", "Space", "Enter")
    assert (choice(page), page.evaluate("saves")) == (1, 1), "what is committed is locked"
    expect(options.nth(1)).to_be_checked()
    expect(options.nth(1)).to_be_focused()

    press(page, "Tab")
    expect(page.get_by_role("button", name="Ask me again")).to_be_focused()
    press(page, "Enter")
    assert choice(page) is None
    expect(options.nth(0)).to_be_focused()
    assert page.locator(":checked").count() == 0
    assert marks(page) == [""] * 4
    expect(status).to_have_text("")
    press(page, "Space", "Tab", "Space")
    assert choice(page) == 0
    expect(status.locator("p")).to_have_text(["✓ Right. exp(-inf) is 0. That is all."])
    expect(page.get_by_role("button", name="Ask me again")).to_be_focused()
    assert marks(page) == ["✓ Right", "", "", ""]
    assert page.evaluate("told.map(([name, detail]) => [name, detail])") == [
        ["masks-committed", {"id": "02/pads", "isRight": False}],
        ["masks-asked-again", {"id": "02/pads"}],
        ["masks-committed", {"id": "02/pads", "isRight": True}],
    ]
    assert "question" in page.evaluate("told[0][2]").split()


def test_a_key_that_is_held_commits_once(open_widget):
    page = open_widget(one())
    page.get_by_role("radio").nth(2).focus()
    press(page, "Space", "Tab")
    for _ in range(4):  # the second and later ones repeat
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    settle(page)
    assert choice(page) == 2


def test_several_are_ticked_and_each_is_answered(open_widget):
    page = open_widget(one(right=[0, 2]))
    group = page.get_by_role("group", name="What happens to the weights when attention_mask ends in zeros?")
    expect(group).to_have_accessible_description("Choose all that are right.")
    press(page, "Tab", "Space", "Tab", "Space", "Enter")
    assert choice(page) == [0, 1]
    said = ["✗ Not right.", "✓ A. exp(-inf) is 0. That is all.", "✗ B. Look at the last columns."]
    expect(page.get_by_role("status").locator("p")).to_have_text(
        [*said, "✓ A and C are right.", "✓ C. Not in float32."]
    )
    assert marks(page) == ["✓ Right", "✗ Not right", "✓ This is right", ""]
    page.get_by_role("checkbox").nth(1).click(force=True)
    press(page, "Space")
    expect(page.get_by_role("checkbox").nth(1)).to_be_checked()
    page.evaluate("model.set('choice', [0, 2])")  # as Python does
    good = ["✓ Right.", "✓ A. exp(-inf) is 0. That is all.", "✓ C. Not in float32."]
    expect(page.get_by_role("status").locator("p")).to_have_text(good)
    assert marks(page) == ["✓ Right", "", "✓ Right", ""]
    page.evaluate("model.set('choice', [2])")
    part = ["✗ Not all.", good[2], "✓ A and C are right.", good[1]]
    expect(page.get_by_role("status").locator("p")).to_have_text(part)


def test_a_number_is_written_with_a_comma_or_a_point(open_widget):
    page = open_widget(number())
    box, said = page.get_by_role("textbox", name="Your answer %"), page.get_by_role("status")
    assert box.get_attribute("inputmode") == "decimal"
    press(page, "Tab")
    page.keyboard.type("a lot")
    press(page, "Enter")
    expect(said).to_have_text("Write a number first, such as 0.5 or 1200.")
    expect(commit(page)).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Control+a")
    page.keyboard.type("25,7 %")
    expect(said).to_have_text("")
    press(page, "Enter")
    assert choice(page) == 25.7
    expect(box).to_have_value("25.7")
    expect(said.locator("p")).to_have_text(["✓ Right. It is 25.5\u00a0%. Three of seven keys are pads."])
    page.keyboard.type("1")
    expect(box).to_have_value("25.7")
    press(page, "Tab", "Space")
    expect(box).to_be_focused()
    expect(box).to_have_value("")
    page.keyboard.type("-26.51")
    press(page, "Enter")
    assert choice(page) == -26.51
    expect(box).to_have_value("−26.51")
    said_wrong = ["✗ Not right. Add up the last three columns.", "✓ It is 25.5\u00a0%. Three of seven keys are pads."]
    expect(said.locator("p")).to_have_text(said_wrong)
    page.evaluate("model.set('choice', 25.5)")
    expect(said.locator("p")).to_have_text(["✓ Right. Three of seven keys are pads."])
    assert marks(page) == ["✓ Right"]


def test_a_number_below_zero_can_be_written_on_a_telephone(open_widget):
    assert open_widget(number(right=-2)).get_by_role("textbox").get_attribute("inputmode") == "text"


# --- by mouse ----------------------------------------------------------------------------------------


def test_the_whole_line_is_clicked_and_a_double_click_commits_once(open_widget):
    page = open_widget(one())
    line = page.locator(".question label").nth(3)
    box = line.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + 3)
    expect(page.get_by_role("radio").nth(3)).to_be_checked()
    commit(page).dblclick()
    # The button has moved, mostly away from where the second click falls; not on every page.
    page.get_by_role("button").dispatch_event("click", {"detail": 2})
    settle(page)
    assert choice(page) == 3
    page.locator(".question label").nth(0).click(force=True)
    expect(page.get_by_role("radio").nth(3)).to_be_checked()
    page.get_by_role("button", name="Ask me again").click()
    assert choice(page) is None
    commit(page).click(force=True)
    expect(page.get_by_role("status")).to_have_text("Choose an answer first.")
    # Beside the controls the widget itself has the focus, so that no letter is a command of the notebook.
    page.get_by_role("status").click()
    assert page.evaluate("document.activeElement.dataset.lmSuppressShortcuts") == "true"


def test_two_views_of_a_question_agree_and_a_view_that_ended_is_silent(open_widget):
    page = open_widget(one(), views=2)
    page.evaluate(LISTEN)
    first, second = page.locator(".question").all()
    first.get_by_role("radio").nth(1).check()
    expect(second.get_by_role("radio").nth(1)).not_to_be_checked()
    second.get_by_role("radio").nth(2).check()
    first.get_by_role("button").click()
    for view in (first, second):
        expect(view.get_by_role("radio").nth(1)).to_be_checked()
        expect(view.get_by_role("status").locator("p")).to_have_text(VERDICT)
    assert marks(page, 1) == ["✓ This is right", "✗ Not right", "", ""]
    second.get_by_role("button").click()
    expect(first.get_by_role("button")).to_have_text("Commit")
    assert page.evaluate("told.length") == 4, "each view tells what is around it"
    page.evaluate("forget.forEach((end) => end()); model.set('choice', 0)")
    settle(page)
    assert page.evaluate("told.length") == 4


def test_what_was_committed_is_shown_again(open_widget):
    asked = one()
    asked.choice = 1
    page = open_widget(asked)
    expect(page.get_by_role("status").locator("p")).to_have_text(VERDICT)
    expect(page.get_by_role("radio").nth(1)).to_be_checked()
    page.get_by_role("button", name="Ask me again").click()
    assert choice(page) is None


@pytest.mark.parametrize(
    ("feedback", "wanted"),
    [
        ("Right. The first row sets the width.", "The first row sets the width."),
        ("Right, for all eight: three answers.", "For all eight: three answers."),
        ("Yes: `exp` is.", "exp is."),
        ("Right of the diagonal is the future.", "Right of the diagonal is the future."),
        ("Yes.", ""),
        ("Half. Not more.", "Half. Not more."),
        ("", ""),
    ],
)
def test_what_opens_a_feedback_is_not_said_twice(open_widget, feedback, wanted):
    page = open_widget(one(right=1, feedback=[*FEEDBACK[:1], feedback, *FEEDBACK[2:]]))
    page.evaluate("model.set('choice', 1)")
    expect(page.get_by_role("status")).to_have_text(f"✓ Right. {wanted}".strip())
    page.evaluate("model.set('choice', 0)")
    said = [f"✗ Not right. {FEEDBACK[0].replace('`', '')}", f"✓ B is right. {wanted}".strip()]
    expect(page.get_by_role("status").locator("p")).to_have_text(said)


# --- revealed ----------------------------------------------------------------------------------------


def reveal(page, is_revealed):
    page.evaluate(
        "(detail) => document.querySelector('.question').dispatchEvent(new CustomEvent('masks-reveal', { detail }))",
        is_revealed,
    )
    settle(page)


def test_a_page_may_reveal_the_answer_and_hide_it_again_and_nothing_is_committed(open_widget):
    page = open_widget(one())
    page.evaluate(LISTEN)
    options, answer = page.get_by_role("radio"), page.locator(".question-answer")
    options.nth(2).check()
    commit(page).focus()
    reveal(page, True)
    assert marks(page) == ["✓ This is right", "", "", ""]
    expect(answer).to_have_text(VERDICT[1])
    expect(page.get_by_role("status")).to_have_text("")  # eight questions at once would be too much to hear
    expect(commit(page)).to_be_focused()
    expect(commit(page)).to_have_attribute("aria-disabled", "true")
    press(page, "Enter")
    expect(page.get_by_role("status")).to_have_text("The answer is shown. Hide it again to commit to yours.")
    options.nth(0).click(force=True)
    options.nth(2).focus()
    press(page, "ArrowDown", "Enter")
    expect(options.nth(2)).to_be_checked()
    assert (choice(page), page.evaluate("[saves, told.length]")) == (None, [0, 0])

    reveal(page, False)
    assert marks(page) == [""] * 4
    expect(answer).to_be_empty()
    expect(page.get_by_role("status")).to_have_text("")
    expect(options.nth(2)).to_be_checked()
    commit(page).click()
    assert choice(page) == 2
    said = page.get_by_role("status").inner_text()
    reveal(page, True)
    assert page.get_by_role("status").inner_text() == said
    expect(answer).to_be_empty()
    page.get_by_role("button", name="Ask me again").click()
    expect(answer).to_have_text(VERDICT[1])
    assert page.evaluate("told.map(([name]) => name)") == ["masks-committed", "masks-asked-again"]


def test_what_is_revealed_of_several_and_of_a_number(open_widget):
    page = open_widget(one(right=[0, 2]))
    reveal(page, True)
    said = ["✓ A and C are right.", "✓ A. exp(-inf) is 0. That is all.", "✓ C. Not in float32."]
    expect(page.locator(".question-answer p")).to_have_text(said)
    assert marks(page) == ["✓ This is right", "", "✓ This is right", ""]
    page = open_widget(number())
    page.get_by_role("textbox").fill("3")
    reveal(page, True)
    expect(page.locator(".question-answer p")).to_have_text(["✓ It is 25.5\u00a0%. Three of seven keys are pads."])
    expect(page.get_by_role("textbox")).to_have_attribute("readonly", "")
    reveal(page, False)
    expect(page.get_by_role("textbox")).to_have_value("3")
    expect(page.get_by_role("textbox")).not_to_have_attribute("readonly", "")


# --- for everybody -----------------------------------------------------------------------------------


def test_a_screen_reader_hears_letter_words_and_marks(open_widget):
    """Asked of Chromium's own tree: what stands in boxes beside each other is no word of its own to every reader."""
    page = open_widget(one())
    page.get_by_role("radio").nth(1).check()
    commit(page).click()
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node["name"]["value"]) for node in tree if node.get("name", {}).get("value")]
    assert [name.strip() for role, name in named if role == "radio"] == [
        "A. The words share 1.0 among themselves. This is right",
        "B. Nothing at all. Not right",
        "C. The pads keep a little.",
        "D. All become NaN.",
    ]
    assert ("group", "What happens to the weights when attention_mask ends in zeros?") in named


def test_a_question_that_is_not_shown_still_names_its_options(open_widget):
    asked = one()
    asked.show_text = False
    page = open_widget(asked)
    box = page.locator("legend").bounding_box()
    assert box["width"] * box["height"] <= 2
    expect(page.get_by_role("group", name="What happens to the weights")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_runs_off_the_page(open_widget, page, scheme):
    page.emulate_media(color_scheme=scheme)
    long = "Each of the " + "very_" * 40 + "long `" + "names_in_code_" * 12 + "`."
    for asked in (one(options=[long, *OPTIONS[1:]], feedback=[FEEDBACK[0], long, "", ""]), one(right=[0, 1]), number()):
        open_widget(asked)
        for width in (1000, 390, 195):  # the last is a narrow phone at 200 %
            page.set_viewport_size({"width": width, "height": 900})
            settle(page)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        for is_revealed in (True, False):
            reveal(page, is_revealed)
            results = Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
        page.evaluate("model.set('choice', Array.isArray(model.get('right')) ? [1, 2] : 1)")
        for width in (195, 390, 1000):
            page.set_viewport_size({"width": width, "height": 900})
            settle(page)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()


def test_marks_need_no_colours(open_widget, page):
    """Chosen, focused, right and wrong are told apart by shapes and words where a system has its own two colours."""
    page.emulate_media(forced_colors="active")
    open_widget(one())
    press(page, "Tab", "Space", "ArrowDown")
    lines = page.locator(".question label")
    outlines = lines.evaluate_all("all => all.map((line) => getComputedStyle(line).outlineStyle)")
    assert outlines == ["none", "solid", "none", "none"]
    drawn = "all => all.map((input) => [getComputedStyle(input).appearance, input.checked])"
    assert page.get_by_role("radio").evaluate_all(drawn) == [["auto", n == 1] for n in range(4)]
    press(page, "Enter")
    assert marks(page) == ["✓ This is right", "✗ Not right", "", ""]


# --- its texts, its page -----------------------------------------------------------------------------


def test_texts_are_text(open_widget):
    texts = [text or "empty" for text in HOSTILE]
    options = ["`<b>code</b>` and `two`", texts[0], texts[2], texts[5], "a lone ` and half \ud83e"]
    asked = one(text=texts[1] + texts[3] + texts[4], options=options, feedback=[texts[6], "", texts[7], "`<i>`", "x"])
    page = open_widget(asked)
    wanted = ["<b>code</b> and two", texts[0], texts[2], texts[5], "a lone ` and half \ufffd"]
    assert page.locator(".question-words").all_text_contents() == wanted
    assert page.locator(".question code").all_text_contents() == ["<b>code</b>", "two"]
    assert page.locator("legend").text_content() == texts[1] + texts[3] + texts[4]
    page.evaluate("model.set('choice', 3)")
    assert page.locator(".question-status code").all_text_contents() == ["<i>"]
    page.evaluate("model.set('choice', 2)")
    assert page.locator(".question-status p").all_text_contents() == [
        f"✗ Not right. {texts[7]}",
        f"✓ A is right. {texts[6]}",
    ]
    assert page.locator(":is(.question, .masks-place) :is(img, script, b, i)").count() == 0


def test_another_language_needs_no_other_widget(open_widget):
    words = {"commit": "Antworten", "and": "und", "said_answers": "Richtig sind {right} ($&).", "openings": "Nur Only"}
    page = open_widget(one(right=[0, 2, 3], words=words))
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Antworten").click()
    said = page.get_by_role("status").locator("p")
    expect(said.nth(2)).to_have_text("✓ Richtig sind A, C und D ($&).")
    expect(said.last).to_have_text("✓ D. Only where a row is empty.")


def written(folder, asked):
    """A page with the question, what it leaves where no widget lives, and the policy that ours have."""
    address = widget_page.write(folder / "page.html", asked)
    policy = document.POLICY.format(wasm="")
    saved = asked._repr_mimebundle_()[0]["text/html"]
    text = (folder / "page.html").read_text()
    text = text.replace(static_widgets.mount("widget", ""), static_widgets.mount("widget", saved))
    meta = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
    (folder / "page.html").write_text(text.replace('<meta charset="utf-8">', meta))
    return address


def test_it_lives_under_a_strict_policy_and_is_a_list_without_programs_and_in_print(page, browser, tmp_path):
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    address = written(tmp_path, one())
    page.goto(address)
    until(page, "window.ready")
    page.get_by_role("radio").nth(1).check()
    commit(page).click()
    expect(page.get_by_role("status").locator("p")).to_have_text(VERDICT)
    saved = page.locator(".question-saved")
    expect(saved).not_to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_role("status")).to_be_visible()
    expect(page.get_by_role("button")).not_to_be_visible()
    expect(saved).not_to_be_visible()
    page.evaluate("model.set('choice', null)")
    expect(saved).to_be_visible()
    expect(page.locator(".question")).not_to_be_visible()
    reveal(page, True)
    expect(page.locator(".question-answer")).to_be_visible()
    expect(saved).not_to_be_visible()
    assert problems == []

    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(address)
    assert plain.locator("main").inner_text().split("\n")[-5:] == [
        TEXT.replace("`", ""),
        "A The words share 1.0 among themselves.",
        "B Nothing at all.",
        "C The pads keep a little.",
        "D All become NaN.",
    ]
    assert not re.search("Yes:|Look at|Not in|Only where", plain.locator("main").inner_text())
    context.close()


def test_on_a_slide_arrows_choose_and_after_a_click_they_turn_slides_again(page, tmp_path):
    asked = one()
    data, _ = asked._repr_mimebundle_()
    outputs = [nbformat.v4.new_output("display_data", data)]
    cells = [
        nbformat.v4.new_markdown_cell("# 42 · Test?\n\n*None.*"),
        nbformat.v4.new_code_cell("question", outputs=outputs, metadata={"tags": ["slide"]}),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    state = {asked.model_id: asked._get_embed_state()}
    notebook.metadata.widgets = nbformat.from_dict({paths.STATE: {"state": state}})
    (tmp_path / "deck.html").write_text(slides.deck(notebook, "42_test"))
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto((tmp_path / "deck.html").as_uri() + "#/1")
    until(page, "Boolean(document.querySelector('.reveal.ready .question'))")
    at = "Reveal.getIndices().h"
    page.get_by_role("radio").first.check()
    press(page, "ArrowRight", "ArrowDown")
    expect(page.get_by_role("radio").nth(2)).to_be_checked()
    assert page.evaluate(at) == 1
    words = page.locator(".question-words").first
    size = "(node) => parseFloat(getComputedStyle(node).fontSize) * node.currentCSSZoom"
    assert words.evaluate(size) >= 0.035 * 720, "read from the last row"
    commit(page).click()
    expect(page.get_by_role("status").locator("p")).to_have_text(["✗ Not right. Not in float32.", VERDICT[1]])
    press(page, "ArrowRight")
    assert page.evaluate(at) == 2


@pytest.fixture
def fox():
    with firefox.started() as client:
        yield client


def test_firefox_answers_by_keyboard(fox, tmp_path):
    from marionette_driver.keys import Keys

    def state():
        fox.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[arguments.length - 1]))")
        return fox.execute_script("""
          const page = window.wrappedJSObject;
          return [page.model.get("choice"), document.activeElement.localName, document.activeElement.value,
            document.querySelector("[role=status]").textContent];
        """)

    def type_(keys):
        fox.get_active_element().send_keys(keys)

    firefox.opened(fox, written(tmp_path, one()), "return window.wrappedJSObject.ready")
    fox.find_element("css selector", "body").send_keys(Keys.TAB)
    type_(Keys.SPACE + Keys.ARROW_DOWN + Keys.ENTER)
    assert state() == [1, "input", "1", "".join(VERDICT)]
    type_(Keys.ARROW_DOWN)
    type_(Keys.SPACE)
    assert state()[:3] == [1, "input", "1"], "what is committed is locked"
    checked = "return document.querySelector(':checked').value"
    assert fox.execute_script(checked) == "1"
    type_(Keys.TAB)
    type_(Keys.ENTER)
    assert state() == [None, "input", "0", ""]
    firefox.opened(fox, written(tmp_path, number()), "return window.wrappedJSObject.ready")
    fox.find_element("css selector", "body").send_keys(Keys.TAB)
    type_("25,7" + Keys.ENTER)
    assert state() == [25.7, "input", "25.7", "✓ Right. It is 25.5\u00a0%. Three of seven keys are pads."]
    assert firefox.complaints(fox) == []
