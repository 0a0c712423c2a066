"""Tries the widgets of a publication as a reader does: with mouse and keyboard, in Chromium and in Firefox."""

from playwright.sync_api import expect

from tests.support.widget_page import settle

#: True when a publication is complete and every widget on it lives.
READY = """
document.readyState === "complete"
  && (!document.querySelector(".masks-place") || document.documentElement.dataset.masks === "ready")
  && (!document.querySelector(".reveal") || Boolean(document.querySelector(".reveal.ready")))
"""
PAINTED = "requestAnimationFrame(() => requestAnimationFrame(arguments[arguments.length - 1]))"


def try_widgets(page, within: str = "body") -> None:
    """Every widget within answers: questions to the keyboard, MaskLab to mouse and keys, HeadGrid to its choices."""
    for question in page.locator(f"{within} .question").all():
        try_question(page, question)
    for lab in page.locator(f"{within} .masklab").all():
        status, before = lab.locator(".masks-status"), lab.locator(".masks-status").inner_text()
        flip = lab.get_by_role("button", name="Flip polarity")
        flip.click()
        expect(flip).to_have_attribute("aria-pressed", "true")
        flip.click()
        expect(status).to_have_text(before)
        lab.get_by_role("grid").focus()
        page.keyboard.press("Control+Home")
        page.keyboard.press("Space")
        expect(status).not_to_have_text(before)
        page.keyboard.press("Control+z")
        expect(status).to_have_text(before)
    for grid in page.locator(f"{within} .headgrid").all():
        for choice in grid.get_by_role("radio").all():
            choice.check()
            settle(page)
            expect(choice).to_be_checked()


def try_question(page, question) -> None:
    """A question is answered by keyboard, says something to that, asks again, and what settles it is there at last."""
    answer_first(page, question)
    button = question.get_by_role("button", name="Ask me again")
    button.focus()
    page.keyboard.press("Enter")
    expect(question.get_by_role("button", name="Commit")).to_be_visible()
    expect(question.get_by_role("status")).to_have_text("")
    answer_first(page, question)


def answer_first(page, question) -> None:
    """Commits to the first option, or to 1, and waits for what is said to that."""
    first = question.locator("input").first
    first.focus()
    page.keyboard.press("1" if first.get_attribute("type") == "text" else "Space")
    page.keyboard.press("Enter")
    expect(question.get_by_role("status")).to_contain_text("ight")  # Right., Not right.


def try_in_firefox(fox, within: str = "body") -> int:
    """Every widget within answers to Firefox's own mouse and keyboard; returns how many there are."""
    labs = fox.find_elements("css selector", f"{within} .masklab")
    for lab in labs:
        _try_lab_in_firefox(fox, lab)
    grids = fox.find_elements("css selector", f"{within} .headgrid")
    for grid in grids:
        _try_grid_in_firefox(fox, grid)
    stories = fox.find_elements("css selector", f"{within} .storylab")
    for story in stories:
        _try_story_in_firefox(fox, story)
    questions = fox.find_elements("css selector", f"{within} .question")
    for question in questions:
        _try_question_in_firefox(fox, question)
    return len(labs) + len(grids) + len(stories) + len(questions)


def answer_first_in_firefox(fox, question) -> None:
    """As ``answer_first``."""
    from marionette_driver.keys import Keys

    first = question.find_element("css selector", "input")
    first.send_keys("1" if first.get_attribute("type") == "text" else " ")
    first.send_keys(Keys.ENTER)
    fox.execute_async_script(PAINTED)
    assert "ight" in question.find_element("css selector", "[role=status]").text  # Right., Not right.


def _try_question_in_firefox(fox, question) -> None:
    from marionette_driver.keys import Keys

    answer_first_in_firefox(fox, question)
    question.find_element("css selector", "button").send_keys(Keys.ENTER)
    fox.execute_async_script(PAINTED)
    assert question.find_element("css selector", "[role=status]").text == ""


def _try_lab_in_firefox(fox, lab) -> None:
    from marionette_driver.keys import Keys

    def status():
        fox.execute_async_script(PAINTED)
        return lab.find_element("css selector", ".masks-status").text

    before, flip = status(), lab.find_element("xpath", ".//button[text()='Flip polarity']")
    flip.click()
    assert flip.get_attribute("aria-pressed") == "true"
    assert status() != before
    flip.click()
    assert status() == before
    grid = lab.find_element("css selector", "[role=grid]")
    for keys in (Keys.CONTROL + Keys.HOME, Keys.SPACE):
        grid.send_keys(keys)
    assert status() != before
    grid.send_keys(Keys.CONTROL + "z")
    assert status() == before


def _try_grid_in_firefox(fox, grid) -> None:
    from marionette_driver.keys import Keys

    for choice in grid.find_elements("css selector", "input[type=radio]"):
        choice.click()
        fox.execute_async_script(PAINTED)
        assert choice.get_property("checked")
    status = grid.find_element("css selector", ".masks-status")
    before = status.text
    grid.find_element("css selector", "[role=grid]").send_keys(Keys.ARROW_RIGHT)
    fox.execute_async_script(PAINTED)
    assert status.text != before


def _try_story_in_firefox(fox, story) -> None:
    from marionette_driver import Wait
    from marionette_driver.keys import Keys

    fox.execute_script("arguments[0].scrollIntoView()", script_args=[story])  # the model is loaded when it comes near
    Wait(fox, timeout=60).until(lambda _: "masks-waiting" not in story.get_attribute("class"))
    word = story.find_elements("css selector", ".storylab-chip")[4]
    table = story.find_element("css selector", ".storylab-next tbody")
    before = table.text
    word.click()
    fox.execute_async_script(PAINTED)
    assert word.get_attribute("aria-pressed") == "true"
    assert table.text != before
    word.send_keys(Keys.SPACE)
    fox.execute_async_script(PAINTED)
    assert word.get_attribute("aria-pressed") == "false"
    assert table.text == before
