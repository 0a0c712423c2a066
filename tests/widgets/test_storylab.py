"""StoryLab's page in a real Chromium: what a reader does, what the model answers, and what Python is told."""

import math
import re

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support import firefox, story_oracle, story_page, widget_page
from tests.support.story_page import CATS, TOKENS, begin, keep_of, next_tokens, stories, table, told, where
from utils import conventions, masks, models
from utils.widgets import StoryLab

T = len(TOKENS)
CAUSAL = masks.causal(T)


@pytest.fixture(scope="module")
def lab():
    return StoryLab(layer=3, head=2)


@pytest.fixture(scope="module")
def shared(browser, lab, tmp_path_factory):
    """A page with one StoryLab, that all tests of this file share; each begins it anew."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.set_default_timeout(120_000)
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route(re.compile(r"^(?!file:|blob:|data:)"), lambda route: (problems.append(route.request.url), route.abort()))
    page.goto(story_page.write(tmp_path_factory.mktemp("story") / "page.html", lab))
    story_page.ready(page)
    yield page
    assert problems == []
    page.close()


@pytest.fixture
def story(shared):
    shared.set_viewport_size({"width": 1000, "height": 900})
    begin(shared)
    return shared


def mask(page):
    return page.get_by_label("Mask", exact=True)


def chips(page):
    return page.locator(".storylab-chip[aria-pressed]")


def chip(page, word):
    return chips(page).nth(word)


def cells(keep):
    return keep.int().tolist()


def same_as_python(page, **settings):
    """Whether the page has told Python what Python computes with these settings."""
    expected = StoryLab(layer=3, head=2, **settings).next_tokens
    rows = next_tokens(page)
    assert {row[0] for row in rows} == {row.token for row in expected}
    numbers = {row[0]: [math.nan if p is None else p for p in row[1:]] for row in rows}
    for row in expected:
        assert numbers[row.token] == pytest.approx(list(row[1:]), abs=1e-5, nan_ok=True), row


# --- what the model answers --------------------------------------------------------------------------


def test_without_the_cats_the_next_word_is_no_cat(story, lab):
    shown = table(story)
    assert shown["cat"][0] == shown["cat"][1] > 25
    for word in CATS:
        chip(story, word).click()
    told(story)
    shown = table(story)
    assert shown["cat"][0] < 2 < 25 < shown["cat"][1]
    keep = CAUSAL.clone()
    keep[:, CATS] = False
    assert keep_of(story) == cells(keep)
    same_as_python(story, hidden=CATS)
    expect(story.locator(".storylab-notice")).to_have_text(
        re.compile(r"^The likeliest next word is still “dog”: \d+\s%")
    )
    assert [word for word in range(T) if chip(story, word).get_attribute("aria-pressed") == "true"] == list(CATS)


def test_nothing_moves_when_the_first_word_is_hidden(story):
    table_top = story.locator(".storylab-next").bounding_box()["y"]
    expect(story.locator(".storylab-caution")).to_be_hidden()
    chip(story, CATS[0]).click()
    told(story)
    expect(story.locator(".storylab-caution")).to_be_visible()
    assert story.locator(".storylab-next").bounding_box()["y"] == table_top


def test_with_two_columns_the_thumbnails_are_below_the_next_word(story):
    story.set_viewport_size({"width": 780, "height": 900})
    expect(story.locator(".storylab")).to_have_class(re.compile("storylab-2"))
    told(story)
    large, words, thumbs, stories = (
        story.locator(f".storylab-{part}").bounding_box() for part in ("large", "next", "all", "stories")
    )
    assert thumbs["y"] >= words["y"] + words["height"]
    assert thumbs["x"] == words["x"] >= large["x"] + large["width"]
    assert stories["y"] >= large["y"] + large["height"]
    assert stories["x"] == large["x"]
    grid = story.locator(".masks-thumbs canvas").bounding_box()
    assert 180 < grid["width"] <= thumbs["width"]


def test_left_padding_with_position_ids_changes_nothing_and_without_does(story):
    before = table(story)
    mask(story).select_option("left_padding")
    told(story)
    assert table(story) == before
    assert len(keep_of(story)) == T + 4
    expect(story.locator(".storylab-notice")).to_have_text(re.compile("^The next word does not change: it is “dog”"))
    expect(story.locator(".storylab-caution")).to_be_hidden()
    assert stories(story)[0] == stories(story)[1]
    same_as_python(story, preset="left_padding")
    story.get_by_label("position_ids").uncheck()
    told(story)
    assert table(story) != before
    same_as_python(story, preset="left_padding", parameters={"position_ids": False})


def test_right_padding_is_read_at_a_pad_or_at_the_last_word(story):
    before = table(story)
    mask(story).select_option("right_padding")
    told(story)
    assert table(story) != before
    same_as_python(story, preset="right_padding")
    story.get_by_label("Read at").select_option("word")
    told(story)
    assert table(story) == before
    assert stories(story)[0] == stories(story)[1]
    story.get_by_label("position_ids").uncheck()
    told(story)
    assert table(story) == before
    assert stories(story)[0] != stories(story)[1], "what comes after the pads is at other positions"
    expect(story.locator(".storylab-notice")).to_contain_text("The next word does not change")
    story.get_by_label("pads").fill("2")
    story.keyboard.press("Tab")
    told(story)
    assert len(keep_of(story)) == T + 2


def test_each_mask_has_the_numbers_of_python(story):
    mask(story).select_option("window")
    told(story)
    assert keep_of(story) == cells(masks.sliding_window(T, 3))
    same_as_python(story, preset="window")
    story.get_by_label("window").fill("5")
    story.keyboard.press("Enter")
    told(story)
    assert keep_of(story) == cells(masks.sliding_window(T, 5))
    same_as_python(story, preset="window", parameters={"window": 5})
    for preset, keep in (("none", masks.full(T)), ("upside_down", ~CAUSAL)):
        mask(story).select_option(preset)
        told(story)
        assert keep_of(story) == cells(keep)
        same_as_python(story, preset=preset)
    expect(story.locator(".storylab-caution")).to_contain_text("sees no key, so it looks at all of them alike")
    story.get_by_label("Heads", exact=True).select_option("2")
    told(story)
    same_as_python(story, preset="upside_down", only_head=2)


def test_an_empty_row_with_minus_infinity_is_nan_and_the_widget_says_why(story):
    mask(story).select_option("upside_down")
    story.get_by_label("Hidden scores get").select_option("-inf")
    told(story)
    why = re.compile(r"^Row 19 \(·the\) is NaN: it sees no key")
    for place in (".storylab-notice", ".storylab > [aria-live]"):
        expect(story.locator(place)).to_have_text(why)
    assert {p for _, p, _ in next_tokens(story)} == {None}
    assert story.locator(".storylab-next td:nth-child(2)").all_inner_texts() == ["NaN"] * 5
    assert stories(story)[0] == ""
    expect(story.locator(".storylab-stories p").first).to_contain_text("no next word: all numbers are NaN")
    same_as_python(story, preset="upside_down", fill="-inf")


def test_stories_are_those_of_generate_and_differ_where_they_are_marked(story):
    model, tokenizer = models.load("story-gpt2")
    ids = tokenizer(story_page.TRAITS["text"], return_tensors="pt")
    wanted = tokenizer.decode(model.generate(**ids, max_new_tokens=24, do_sample=False)[0, T:])
    assert stories(story) == (wanted, wanted)
    assert story.locator(".storylab-stories mark").all_text_contents() == ["", ""]
    chip(story, 4).click()
    told(story)
    now, trained = stories(story)
    marked = story.locator(".storylab-stories mark").all_text_contents()
    assert trained == wanted
    assert now != wanted
    assert now.endswith(marked[0])
    assert trained.endswith(marked[1])
    assert now.removesuffix(marked[0]) == trained.removesuffix(marked[1])
    assert marked[0][:6] != marked[1][:6]


def test_a_window_as_long_as_the_text_hides_what_is_before_it_as_the_story_goes_on(story):
    begin(story, text="Once upon", preset="window", parameters={"window": 2})
    assert all(now == trained for now, trained in table(story).values())
    now, trained = stories(story)
    assert now != trained
    _, tokenizer = models.load("story-gpt2")
    ids = tokenizer("Once upon").input_ids
    for _ in range(2):
        rows = StoryLab(tokenizer.decode(ids), preset="window", parameters={"window": 2}).next_tokens
        ids += tokenizer(rows[0].token).input_ids
    assert now.startswith(tokenizer.decode(ids[2:]))


def test_sampled_stories_repeat_with_their_seed(story):
    greedy = stories(story)
    story.get_by_label("How each word is chosen").select_option("sampled")
    told(story)
    first = stories(story)
    assert first[0] == first[1] != greedy[0]
    story.get_by_role("button", name="Another").click()
    told(story)
    assert story.evaluate("model.get('seed')") == 1
    assert stories(story)[0] not in (first[0], greedy[0])
    story.evaluate("model.set('seed', 0)")
    told(story)
    assert stories(story) == first


def test_chance_is_even_and_its_own_for_each_seed(shared):
    numbers = shared.evaluate(
        "[0, 1, 2].map(module.seededNumbers).map((next) => Array.from({ length: 4000 }, () => next()))"
    )
    for row in numbers:
        assert torch.histc(torch.tensor(row), 10, 0, 1).sub(400).abs().max() < 80  # 4 standard deviations
    assert len({number for row in numbers for number in row}) > 11_990


@pytest.mark.parametrize(
    ("hidden", "before", "after", "expected"),
    [
        ([1, 3], [5, 6, 7, 8], [5, 6, 7, 8, 9], [1, 3]),
        ([1, 3], [5, 6, 7, 8], [4, 5, 6, 7, 8], [2, 4]),
        ([1, 2, 3], [5, 6, 7, 8], [5, 9, 7, 8], [2, 3]),
        ([0, 1], [5, 5], [5], [0]),
        ([0, 1], [5, 6], [], []),
        ([2], [5, 6, 7], [7, 6, 5], []),
    ],
)
def test_words_that_are_as_before_stay_hidden(shared, hidden, before, after, expected):
    assert shared.evaluate("(given) => module.hiddenAfterEdit(...given)", [hidden, before, after]) == expected


def test_a_story_goes_on_by_the_rule_of_its_mask(shared):
    """What the token at place 6 sees, after 4 words with 2 pads or 6 without, the second of them hidden."""
    rows = shared.evaluate(
        """() => {
          const parameters = module.storyParameters({ window: 3, pads: 2 });
          const drawn = Uint8Array.from({ length: 36 }, (_, cell) => (cell >= 30 ? [1, 0, 0, 1, 0, 1][cell - 30] : 1));
          const row = (preset, ids, place, keep) => {
            const sequence = module.storySequence(ids, preset, parameters, 0);
            const position = module.storyNextPosition(sequence, parameters, place);
            return [[...module.storyNextRow(sequence, preset, parameters, [1], keep, place)].join(""), position];
          };
          const rows = {};
          for (const preset of ["causal", "window", "none", "upside_down", "drawn"])
            rows[preset] = row(preset, [1, 2, 3, 4, 5, 6], 7, drawn);
          for (const preset of ["left_padding", "right_padding"]) rows[preset] = row(preset, [1, 2, 3, 4], 7, drawn);
          return rows;
        }"""
    )
    assert rows == {
        "causal": ["10111111", 7],
        "window": ["00000111", 7],
        "none": ["10111111", 7],
        "upside_down": ["00000000", 7],
        "drawn": ["10010111", 7],
        "left_padding": ["00101111", 5],
        "right_padding": ["10110011", 5],
    }


def without_each(text, word, pads=0, only_head=None):
    """How likely transformers says a word is: after the text, and after it with each of its tokens hidden once."""
    model, tokenizer = story_oracle.story()
    ids, subject = tokenizer(text).input_ids, tokenizer.encode(word)[0]
    count = len(ids)
    keeps = masks.causal(pads + count).repeat(count + 1, 1, 1)
    keeps[:, :, :pads] = False
    for n in range(count):
        keeps[n, :, pads + n] = False
    keeps = keeps[:, None]
    if only_head is not None:
        heads = masks.causal(count).repeat(count + 1, model.config.n_head, 1, 1)
        heads[:, only_head] = keeps[:, 0]
        keeps = heads
    positions = torch.tensor([[0] * pads + list(range(count))]).expand(count + 1, -1)
    with torch.no_grad():
        inputs = torch.tensor([[tokenizer.eos_token_id] * pads + ids] * (count + 1))
        logits = model(inputs, attention_mask=conventions.to_additive(keeps), position_ids=positions).logits
    *without, whole = logits[:, -1].softmax(-1)[:, subject].tolist()
    return whole, without


def shares(page):
    return chips(page).evaluate_all("(chips) => chips.map((chip) => +chip.style.getPropertyValue('--masks-weight'))")


@pytest.fixture
def asked(story):
    """The page while it says which word matters."""
    button = story.get_by_role("button", name="Which word matters?")
    button.click()
    told(story)
    yield story
    button.click()
    expect(story.locator(".storylab-reason")).to_be_hidden()
    expect(story.locator(".storylab-cause")).to_have_count(0)
    expect(story.locator(".storylab-chip[title*=without]")).to_have_count(0)


def test_each_word_is_hidden_once_to_see_which_one_matters(asked):
    """What transformers says of the text without each of its words: as bars on the words, and in a sentence."""
    sentence = asked.locator(".storylab-reason p")
    whole, without = without_each(story_page.TRAITS["text"], " dog")
    assert shares(asked) == pytest.approx([max(0, 1 - p / whole) for p in without], abs=1e-4)
    least = sorted(range(T), key=lambda word: without[word])[:3]
    names = {14: "the second “\u2068.\u2069”", 17: "“\u2068afraid\u2069”", 4: "the first “\u2068dog\u2069”"}
    said = ", ".join(f"to {100 * without[word]:.0f} % without {names[word]}" for word in least)
    most = max(range(T), key=lambda word: without[word])
    rise = f"“dog” rises to {100 * without[most]:.0f} % without “\u2068chased\u2069”."
    expect(sentence).to_contain_text(f"One word hidden at a time: “dog” falls from {100 * whole:.0f} % {said}. {rise}")
    expect(chip(asked, 17)).to_have_attribute(
        "title", f"without it “dog” has {100 * without[17]:.0f}\u00a0%, now {100 * whole:.0f}\u00a0%"
    )
    assert Axe().run(asked).violations_count == 0

    asked.get_by_label("For the next word").select_option(label="cat")
    told(asked)
    whole, without = without_each(story_page.TRAITS["text"], " cat")
    assert shares(asked) == pytest.approx([max(0, 1 - p / whole) for p in without], abs=1e-4)
    expect(sentence).to_contain_text(
        f"“cat” falls from {100 * whole:.0f} % to {100 * without[13]:.1f} % without the second"
    )


def test_which_word_matters_follows_each_change(asked):
    sentence = asked.locator(".storylab-reason p")
    chip(asked, 14).click()  # the next word is another one, for which others matter
    told(asked)
    expect(sentence).to_contain_text(f"“cat” falls from {table(asked)['cat'][0]:.0f} %")
    expect(chip(asked, 14)).not_to_have_class(re.compile("storylab-cause"))
    expect(chip(asked, 14)).to_have_attribute("title", "hidden: no query sees it")

    begin(asked, text="Tom lost his red ball. He was sad. His mom gave him a new")
    expect(sentence).to_contain_text("“ball” falls from")
    whole, without = without_each("Tom lost his red ball. He was sad. His mom gave him a new", " ball")
    assert shares(asked) == pytest.approx([max(0, 1 - p / whole) for p in without], abs=1e-4)

    begin(asked, preset="left_padding")
    whole, without = without_each(story_page.TRAITS["text"], " dog", pads=4)
    assert shares(asked) == pytest.approx([max(0, 1 - p / whole) for p in without], abs=1e-4)

    begin(asked, only_head=3, head=3)
    whole, without = without_each(story_page.TRAITS["text"], " dog", only_head=3)
    assert shares(asked) == pytest.approx([max(0, 1 - p / whole) for p in without], abs=1e-4)
    expect(sentence).to_contain_text("One word hidden at a time from head 3: “dog”")

    begin(asked, preset="upside_down", fill="-inf")
    expect(sentence).to_have_text("All numbers are NaN: there is no next word that another could matter for.")
    assert set(shares(asked)) == {0}


def test_while_it_asks_which_of_128_words_matters_the_page_answers(asked):
    """Before all is told the words have bars already, and what is typed ends the question and begins it anew."""
    asked.evaluate("model.set('text', 'She saw a big dog. '.repeat(40))")
    widget_page.until(asked, "() => document.querySelectorAll('.storylab-cause').length > 3")
    expect(asked.locator(".storylab-reason")).to_have_attribute("aria-busy", "true")
    asked.get_by_label("Text").fill("The cat")
    told(asked)
    assert asked.locator(".storylab-chip").all_inner_texts() == ["The", "cat"]
    whole, without = without_each("The cat", table_word(asked))
    assert shares(asked) == pytest.approx([max(0, 1 - p / whole) for p in without], abs=1e-4)


def table_word(page):
    return next_tokens(page)[0][0]


#: What people ask, what they do about it on the page as it opens, and the sentences that answer.
QUESTIONS = {
    "What if it could see the future?": (
        ["Mask: no mask"],
        {
            "notice": r"^The likeliest next word is now “cat” \(\d+\s%\); as trained it is “dog”",
            "caution": "causal mask only",
        },
    ),
    "Does padding change the story?": (
        ["Mask: left padding"],
        {"notice": "^The next word does not change: it is “dog”", "stories": "as trained: the same story"},
    ),
    "And if nobody tells it what is a pad?": (
        ["Mask: left padding", "attention_mask"],
        {
            "notice": r"“dog”: \d+\s% now, \d+\s% as trained",
            "caution": "^Without attention_mask pads are seen like words",
        },
    ),
    "Does it matter where the pads are?": (
        ["Mask: right padding"],
        {"notice": "is now “and”", "caution": "^The next word is read at the last pad here, not at the last word"},
    ),
    "Which word made it say cat?": (
        ["Which word matters?", "For the next word: cat"],
        {
            "reason": r"“cat” falls from 32\s% to 3\.9\s% without the second “\u2068cat\u2069”, "
            r"to 5\.5\s% without “\u2068chased\u2069”"
        },
    ),
    "What if it only sees the last three words?": (["Mask: window"], {"notice": "is now “trees”"}),
    "Is it enough to hide a word from one head?": (
        ["Heads: only head 4", "afraid"],
        {"notice": r"still “dog”: 57\s% now, 56\s% as trained"},
    ),
    "What does a mask do that leaves nothing to see?": (
        ["Mask: upside down (~causal)", "Hidden scores get: −∞"],
        {"notice": r"^Row 19 \(·the\) is NaN: it sees no key", "stories": "no next word: all numbers are NaN"},
    ),
    "−∞ or a very negative number: does it matter?": (
        ["Hidden scores get: −∞"],
        {"notice": r"^Still “dog” \(56\s%\): each row sees a key, so −∞ hides as the lowest number does"},
    ),
    "What if I hide the subject?": (["She"], {"notice": "is now “cat”", "stories": r"the cat\. It did not like"}),
    "How do I write this in transformers?": (
        ["She", "As code"],
        {"code": r"keep\[:, \[15\]\] = False.*attention_mask=bias"},
    ),
}


def do(page, action):
    """Does what a person does, and returns how many clicks that takes: a list takes one to open and one to choose."""
    label, _, value = action.partition(": ")
    if value:
        page.get_by_label(label, exact=True).select_option(label=value)
    elif label == "attention_mask":
        page.get_by_label(label).click()
    elif label == "As code":
        page.get_by_text(label).click()
    else:
        page.get_by_role("button", name=label, exact=True).click()
    told(page)
    return 2 if value else 1


def test_questions_of_strangers_are_answered_in_at_most_four_clicks(page, lab, tmp_path):
    address = story_page.write(tmp_path / "page.html", lab)
    for question, (actions, answers) in QUESTIONS.items():
        page.goto(address)
        story_page.ready(page)
        assert sum(do(page, action) for action in actions) <= 4, question
        for part, sentence in answers.items():
            expect(page.locator(f".storylab-{part}"), question).to_have_text(re.compile(sentence, re.DOTALL))
            expect(page.locator(f".storylab-{part}"), question).to_be_in_viewport()


# --- drawing -----------------------------------------------------------------------------------------


def test_cells_are_drawn_with_a_pointer_and_get_their_name_back(story):
    story.mouse.click(*where(story, 19, 4))
    told(story)
    keep = CAUSAL.clone()
    keep[19, 4] = False
    assert keep_of(story) == cells(keep)
    expect(mask(story)).to_have_value("drawn")
    same_as_python(story, keep=keep)
    story.mouse.click(*where(story, 19, 4))
    told(story)
    expect(mask(story)).to_have_value("causal")
    assert keep_of(story) == cells(CAUSAL)

    story.mouse.move(*where(story, 10, 2))
    story.mouse.down()
    story.mouse.move(*where(story, 10, 6), steps=2)
    story.mouse.move(*where(story, 14, 6), steps=1)
    story.mouse.up()
    told(story)
    keep = CAUSAL.clone()
    keep[10, 2:7] = keep[10:15, 6] = False
    assert keep_of(story) == cells(keep)
    same_as_python(story, keep=keep)


def test_a_drawn_mask_keeps_its_pads_and_its_words_can_be_hidden(story):
    mask(story).select_option("left_padding")
    told(story)
    story.mouse.click(*where(story, 23, 8, ["pad"] * 4 + TOKENS))
    told(story)
    expect(mask(story)).to_have_value("drawn")
    assert len(keep_of(story)) == T + 4
    assert story.locator(".storylab-pad").count() == 4
    chip(story, 7).click()
    told(story)
    column = [row[11] for row in keep_of(story)]
    assert column == [0] * (T + 4)
    expect(chip(story, 7)).to_have_attribute("aria-pressed", "true")
    expect(mask(story)).to_have_value("drawn")
    chip(story, 7).click()
    told(story)
    assert [row[11] for row in keep_of(story)] == [0] * 11 + [1] * (T + 4 - 11)


def test_a_head_without_the_mask_is_not_drawn_on(story):
    story.get_by_label("Heads", exact=True).select_option("4")
    mask(story).select_option("window")
    told(story)
    assert story.evaluate("model.get('head')") == 4, "the head that has the mask is shown"
    story.evaluate("model.set('head', 1)")
    told(story)
    expect(story.get_by_text("Only head 4 of every layer has this mask")).to_be_visible()
    story.mouse.click(*where(story, 19, 4))
    told(story)
    expect(mask(story)).to_have_value("window")
    expect(story.locator("[role=gridcell]").first).to_have_text(re.compile("^query ·the, key ·dog: visible"))


def test_all_of_it_with_keys_alone(story):
    chip(story, 7).focus()
    story.keyboard.press("Space")
    told(story)
    expect(chip(story, 7)).to_have_attribute("aria-pressed", "true")
    expect(chip(story, 7)).to_be_focused()
    story.locator(".masks-drawn").focus()
    story.keyboard.press("Control+End")
    story.keyboard.press("Home")
    cell = story.locator(".masks-drawn [role=gridcell]")
    expect(cell).to_have_text(re.compile("^query ·the, key L: visible, weight [\\d.]+"))
    story.keyboard.press("Space")
    told(story)
    expect(cell).to_have_text("query ·the, key L: hidden, weight 0.000")
    expect(story.locator(".storylab [aria-live]").last).to_have_text(
        re.compile(r"^query ·the, key L: hidden, weight 0\.000\. Next word: dog, \d+\s%\. As trained: dog, \d+\s%\.$")
    )
    for name in ("causal", "causal"):
        story.keyboard.press("Control+z")
        told(story)
        expect(mask(story)).to_have_value(name)
    assert keep_of(story) == cells(CAUSAL)
    story.keyboard.press("Control+y")
    told(story)
    expect(chip(story, 7)).to_have_attribute("aria-pressed", "true")
    story.locator(".masks-thumbs").focus()
    story.keyboard.press("ArrowDown")
    story.keyboard.press("End")
    told(story)
    expect(story.locator(".storylab-head .masks-title")).to_have_text("Layer 4, head 4")
    assert [story.evaluate(f"model.get('{name}')") for name in ("layer", "head")] == [4, 4]


def test_the_words_are_one_stop_of_tab_and_arrows_move_among_them(story):
    story.set_viewport_size({"width": 390, "height": 900})
    begin(story, text=f"{story_page.TRAITS['text']} telemetry", preset="left_padding", parameters={"pads": 2})
    chip(story, 0).focus()
    assert chips(story).evaluate_all("(chips) => chips.map((chip) => chip.tabIndex)") == [0] + [-1] * (T + 1)
    bar = story.get_by_role("toolbar", name="Tokens: press one to hide that word; arrows move")
    story.get_by_label("Text").focus()
    story.keyboard.press("Tab")
    expect(chip(story, 0)).to_be_focused()
    story.keyboard.press("ArrowLeft")
    expect(chip(story, 0)).to_be_focused()
    story.keyboard.press("ArrowRight")
    story.keyboard.press("ArrowRight")
    expect(chip(story, 2)).to_be_focused()
    story.keyboard.press("Enter")
    told(story)
    expect(chip(story, 2)).to_have_attribute("aria-pressed", "true")
    expect(chip(story, 2)).to_have_accessible_description("hidden: no query sees it")
    expect(chip(story, 2)).to_be_focused()
    story.keyboard.press("ArrowDown")
    here = bar.locator(":focus")
    upper, lower = chip(story, 2).bounding_box(), here.bounding_box()
    assert upper["y"] < lower["y"] < upper["y"] + 2 * upper["height"]
    assert abs(upper["x"] - lower["x"]) < 60
    story.keyboard.press("ArrowUp")
    assert bar.locator(":focus").bounding_box()["y"] == upper["y"]
    story.keyboard.press("End")
    unknown = story.locator(".storylab-unknown").last
    expect(unknown).to_be_focused()
    expect(unknown).to_have_accessible_description("never seen by this model")
    story.keyboard.press("Space")
    told(story)
    expect(unknown).to_have_accessible_description("hidden: no query sees it; never seen by this model")
    expect(story.locator(".storylab-chip[tabindex='0']")).to_have_count(1)
    story.keyboard.press("Shift+Tab")
    expect(story.get_by_label("Text")).to_be_focused()
    story.keyboard.press("Tab")
    expect(unknown).to_be_focused()
    story.evaluate("model.set('text', 'The cat')")  # by Python, or undone
    told(story)
    expect(chip(story, 1)).to_be_focused()
    story.keyboard.press("Home")
    expect(chip(story, 0)).to_be_focused()
    story.keyboard.press("Tab")
    expect(mask(story)).to_be_focused()


def test_undo_as_trained_and_reset(story):
    mask(story).select_option("window")
    chip(story, 2).click()
    story.get_by_label("Hidden scores get").select_option("-inf")
    story.get_by_label("Text").fill("The cat")
    told(story)
    assert len(keep_of(story)) == 2
    story.get_by_role("button", name="As trained").click()
    told(story)
    assert keep_of(story) == [[1, 0], [1, 1]]
    expect(story.get_by_label("Text")).to_have_value("The cat")
    expect(story.locator(".storylab-caution")).to_be_hidden()
    mask(story).select_option("left_padding")
    story.get_by_role("button", name="As trained").click()
    told(story)
    assert story.evaluate("model.get('parameters').side") == "", "the pads went with their mask"
    for _ in range(4):
        story.get_by_role("button", name="Undo").click()
    told(story)
    expect(story.get_by_label("Text")).to_have_value(story_page.TRAITS["text"])
    expect(story.get_by_label("Hidden scores get")).to_have_value("-inf")
    expect(chip(story, 2)).to_have_attribute("aria-pressed", "true")
    story.get_by_role("button", name="Reset").click()
    told(story)
    assert keep_of(story) == cells(CAUSAL)
    expect(mask(story)).to_have_value("causal")


# --- the text ----------------------------------------------------------------------------------------


def test_typing_keeps_the_cursor_and_the_words_that_stay_hidden(story):
    for word in CATS:
        chip(story, word).click()
    box = story.get_by_label("Text")
    box.evaluate("(area) => { area.focus(); area.setSelectionRange(20, 20); }")
    for letter in " big":  # Lily had a dog and a big cat.
        story.keyboard.press(letter)
    told(story)
    expect(box).to_have_value("Lily had a dog and a big cat. The dog chased the cat. She was afraid of the")
    assert box.evaluate("(area) => area.selectionStart") == 24
    pressed = [word for word in range(T + 1) if chip(story, word).get_attribute("aria-pressed") == "true"]
    assert pressed == [8, 14]
    assert story.evaluate("model.get('text')") == box.input_value()
    same_as_python(story, text=box.input_value(), hidden=[8, 14])
    for _ in " big":  # letters, as in any box; how many at once is the browser's
        if box.input_value() != story_page.TRAITS["text"]:
            box.press("Control+z")
    told(story)
    expect(box).to_have_value(story_page.TRAITS["text"])
    assert [word for word in range(T) if chip(story, word).get_attribute("aria-pressed") == "true"] == list(CATS)


def test_ctrl_z_in_a_text_that_others_have_set_undoes_what_was_typed_since(story):
    box = story.get_by_label("Text")
    box.fill("The cat sat")
    told(story)
    begin(story)  # as Python would, or Undo
    box.press("Control+End")
    story.keyboard.type(" dog")
    told(story)
    expect(box).to_have_value(f"{story_page.TRAITS['text']} dog")
    for _ in range(6):  # more often than there are letters
        box.press("Control+z")
    told(story)
    expect(box).to_have_value(story_page.TRAITS["text"])
    box.evaluate("(area) => area.setSelectionRange(4, 8)")
    story.evaluate("model.set('text', 'The cat sat on a mat')")  # while the cursor is in it
    told(story)
    expect(box).to_be_focused()
    assert box.evaluate("(area) => [area.selectionStart, area.selectionEnd]") == [4, 8]


def test_a_new_text_ends_what_was_drawn(story):
    story.mouse.click(*where(story, 19, 4))
    told(story)
    expect(mask(story)).to_have_value("drawn")
    story.get_by_label("Text").fill("The cat sat")
    told(story)
    expect(mask(story)).to_have_value("causal")
    assert keep_of(story) == cells(masks.causal(3))


HOSTILE = {
    "empty": "",
    "long": "x" * 10_000,
    "many words": "She saw a big dog. " * 600,
    "emoji": "👩‍👩‍👧 saw 🦄",
    "right to left": "שלום עולם، مرحبا",
    "markup": "<img src=x onerror=alert(1)></script><b>bold</b>&amp;",
    "the end": "One day<|endoftext|>Two",
    "lines": "One\nday\r\n\n\tLily",
    "spaces": " " * 300,
    "surrogate": "a \ud83d b \udc00",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_is_text(story, name):
    text = HOSTILE[name]
    story.evaluate("(units) => model.set('text', String.fromCharCode(...units))", utf16(text))
    told(story)
    labels = StoryLab(text).tokens
    shown = story.locator(".storylab-chip").all_inner_texts()
    assert len(shown) == len(labels) == len(keep_of_shown(story))
    assert sum(p for p, _ in table(story).values()) > 0
    box = story.get_by_label("Text")
    assert utf16(box.input_value()) == utf16(text.replace("\r\n", "\n"))
    note = story.locator(".storylab-text .storylab-note")
    if name in ("long", "many words", "spaces"):
        assert len(labels) == (128 if name != "spaces" else len(labels))
    if name in ("long", "many words"):
        expect(note).to_contain_text("The text is cut: the model gets its first 128 tokens here.")
    if name == "empty":
        expect(note).to_have_text("No text: the model begins with the token that starts a story.")
    box.focus()
    story.keyboard.press("End")
    story.keyboard.type(" a")
    told(story)
    assert story.locator("img, b, .storylab script").count() == 0


def utf16(text):
    """The code units of a text, lone surrogates included."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [data[n] + 256 * data[n + 1] for n in range(0, len(data), 2)]


def keep_of_shown(page):
    """One row of the mask for each token, as the grid that is drawn on counts them."""
    return range(int(page.locator(".masks-drawn").get_attribute("aria-rowcount")))


def test_words_that_the_model_has_never_seen_are_marked_and_explained(story):
    begin(story, text="The quark saw a telemetry")
    unknown = story.locator(".storylab-unknown")
    assert unknown.count() >= 1
    expect(unknown.first).to_have_attribute("title", "never seen by this model")
    note = story.locator(".storylab-text .storylab-note")
    expect(note).to_contain_text("This model has never seen “")
    expect(note).to_contain_text("all such words are one to it.")
    begin(story)
    assert unknown.count() == 0
    expect(note).to_be_hidden()


# --- others ------------------------------------------------------------------------------------------


def test_what_python_sets_is_shown(story):
    begin(story, text="The cat", preset="window", parameters={"window": 1, "pads": 4, "position_ids": True, "side": ""})
    expect(mask(story)).to_have_value("window")
    expect(story.get_by_label("window")).to_have_value("1")
    keep = torch.tensor([[1, 0], [0, 1]])
    assert story.locator(".storylab-chip").all_inner_texts() == ["The", "cat"]
    story.evaluate("model.set('preset', 'drawn')")
    story.evaluate(
        "(cells) => model.set('keep_bytes', new DataView(Uint8Array.from(cells).buffer))", keep.flatten().tolist()
    )
    told(story)
    expect(mask(story)).to_have_value("drawn")
    grid = story.locator(".masks-drawn")
    grid.focus()
    story.keyboard.press("Control+End")
    story.keyboard.press("Home")
    expect(grid.get_by_role("gridcell")).to_have_text("query ·cat, key The: hidden, weight 0.000")


def test_views_of_one_model_stay_in_step(page, lab, tmp_path):
    page.goto(story_page.write(tmp_path / "two.html", lab, views=2))
    story_page.ready(page, views=2)
    page.locator(".storylab").last.get_by_label("Mask", exact=True).select_option("window")
    told(page)
    assert table(page, 0) == table(page, 1)
    assert stories(page, 0) == stories(page, 1)
    for view in (0, 1):
        expect(page.get_by_label("Mask", exact=True).nth(view)).to_have_value("window")
    page.locator(".storylab").first.locator(".storylab-chip").nth(7).click()
    told(page)
    expect(page.locator(".storylab").last.locator(".storylab-chip").nth(7)).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Text").first.fill("The cat")
    told(page)
    expect(page.get_by_label("Text").last).to_have_value("The cat")
    assert table(page, 0) == table(page, 1)
    page.get_by_role("button", name="Undo").last.click()
    told(page)
    expect(page.get_by_label("Text").first).to_have_value(story_page.TRAITS["text"])
    assert page.evaluate("Object.keys(globalThis).filter((name) => name === 'masksStory').length") == 1
    page.evaluate("forget.forEach((end) => end())")  # closing a view leaves no listener behind
    page.evaluate("model.set('text', 'The')")
    told(page)
    assert page.locator(".storylab-chip").count() > 4


def test_without_the_model_the_saved_words_are_shown_and_a_sentence(page, lab, tmp_path):
    path = tmp_path / "bare.html"
    story_page.write(path, lab)
    path.write_text(re.sub(rf'<script[^>]*id="{story_page.ASSET}".*?</script>', "", path.read_text(), flags=re.DOTALL))
    page.goto(path.as_uri())
    expect(page.locator(".storylab .masks-status")).to_contain_text("the table shows what was saved")
    expect(page.locator(".storylab")).to_have_class(re.compile("masks-waiting"))
    saved = {row.token.strip(): round(100 * row.probability) for row in lab.next_tokens}
    assert round(table(page)["dog"][0]) == saved["dog"]
    expect(page.get_by_label("Text")).to_have_value(lab.text)
    for part in (".storylab-maps", ".masks-controls", ".storylab-stories"):
        expect(page.locator(part)).to_be_hidden()


def test_the_live_region_says_the_next_word(story):
    chip(story, 7).click()
    told(story)
    chip(story, 13).click()
    told(story)
    shown = table(story)
    expected = f"Next word: dog, {shown['dog'][0]:.0f} %. As trained: dog, {shown['dog'][1]:.0f} %."
    expect(story.locator(".storylab > [aria-live]")).to_have_text(expected)


def test_the_code_is_that_of_the_mask_that_is_shown(story):
    story.get_by_text("As code").click()
    code = story.locator(".storylab-code pre")
    expect(code).to_contain_text("keep = k <= q")
    before = code.inner_text()
    mask(story).select_option("window")
    told(story)
    expect(code).to_contain_text("k > q - 3")
    assert code.inner_text() != before
    story.get_by_text("As code").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 700, 1180])
def test_all_can_use_it_on_any_width(story, scheme, width):
    story.emulate_media(color_scheme=scheme)
    story.set_viewport_size({"width": width, "height": 900})
    begin(story, text="The quark had a dog", preset="left_padding", hidden=[1], sample=True)
    results = Axe().run(story)
    assert results.violations_count == 0, results.generate_report()
    assert story.evaluate("document.documentElement.scrollWidth") <= width
    assert story.locator(".storylab").evaluate("(root) => root.scrollWidth <= root.clientWidth")
    begin(story, text="She saw a big dog. " * 60)
    assert story.evaluate("document.documentElement.scrollWidth") <= width
    story.emulate_media(color_scheme="light")


@pytest.mark.parametrize("box", ["width: 40px", "display: none"])
def test_what_has_no_room_yet_is_no_error_and_is_drawn_once_it_has(page, lab, tmp_path, box):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.add_init_script(f"addEventListener('DOMContentLoaded', () => (document.body.style = '{box}'))")
    page.goto(story_page.write(tmp_path / "narrow.html", lab))
    page.wait_for_timeout(300)
    page.evaluate("document.body.style = ''")
    story_page.ready(page)
    box = page.locator(".masks-drawn canvas").bounding_box()
    assert min(box["width"], box["height"]) > 200
    assert problems == []


def test_where_a_page_allows_no_web_assembly_the_numbers_are_the_same(page, lab, tmp_path):
    page.add_init_script("globalThis.WebAssembly = undefined")
    page.goto(story_page.write(tmp_path / "plain.html", lab))
    story_page.ready(page)
    expect(page.locator(".storylab")).to_have_attribute("data-kernel", "plain")
    page.locator(".storylab-chip").nth(7).click()
    page.get_by_label("Text").press("End")
    page.keyboard.type(" dog")
    told(page)
    same_as_python(page, text=story_page.TRAITS["text"] + " dog", hidden=[7])


# --- where things go on at once, or another way ------------------------------------------------------


def test_a_story_streams_on_while_the_page_is_resized_and_while_nobody_sees_it(page, lab, tmp_path):
    """A page that is not seen shows no frames; here they wait until they are let go."""
    page.add_init_script(
        """const [ask, forget] = [requestAnimationFrame.bind(window), cancelAnimationFrame.bind(window)];
        const waiting = new Map();
        let [frozen, count] = [true, 0];
        window.requestAnimationFrame = (frame) => (frozen ? (waiting.set(--count, frame), count) : ask(frame));
        window.cancelAnimationFrame = (id) => waiting.delete(id) || forget(id);
        window.freeze = (now) => {
          frozen = now;
          if (!now) waiting.forEach((frame) => ask(frame));
          if (!now) waiting.clear();
        };"""
    )
    page.goto(story_page.write(tmp_path / "hidden.html", lab))
    page.locator(".storylab[data-kernel]").wait_for()
    expect(page.locator(".storylab-chip")).to_have_count(0)  # loaded, and not painted yet
    page.evaluate("freeze(false)")
    story_page.ready(page)
    page.evaluate("freeze(true)")
    page.locator(".storylab-chip").nth(14).evaluate("(chip) => chip.click()")
    widget_page.until(page, "() => !document.querySelector('[data-untold], [aria-busy]')")
    page.evaluate("freeze(false)")
    now, trained = stories(page)
    assert now.startswith(" cat")
    assert trained.startswith(" dog")
    same_as_python(page, hidden=[14])

    page.locator(".storylab-chip").nth(14).click()
    for width in (390, 700, 1000):
        page.locator(".storylab-chip").nth(7).click()
        page.set_viewport_size({"width": width, "height": 900})
    told(page)
    assert stories(page)[1] == trained
    assert page.locator(".storylab").evaluate("(root) => root.scrollWidth <= root.clientWidth")
    same_as_python(page, hidden=[7])


def test_composed_letters_and_a_long_paste_arrive(story):
    keys = story.context.new_cdp_session(story)
    box = story.get_by_label("Text")
    box.press("Control+End")
    for letters in ("n", "ne", "ねこ", "猫"):
        keys.send("Input.imeSetComposition", {"text": letters, "selectionStart": 1, "selectionEnd": len(letters)})
        told(story)
        expect(box).to_have_value(story_page.TRAITS["text"] + letters)
    keys.send("Input.insertText", {"text": "猫"})
    told(story)
    expect(box).to_have_value(story_page.TRAITS["text"] + "猫")
    assert story.evaluate("model.get('text')") == box.input_value()
    box.press("Control+a")
    keys.send("Input.insertText", {"text": "She saw a big dog. " * 5300})  # 100,700 letters
    told(story)
    assert len(box.input_value()) == 20_000
    assert story.locator(".storylab-chip").count() == 128
    expect(story.locator(".storylab-text .storylab-note")).to_contain_text("The text is cut")


@pytest.mark.browser_context_args(has_touch=True, viewport={"width": 390, "height": 700})
def test_a_finger_taps_words_and_cells_draws_after_a_long_press_and_scrolls(page, lab, tmp_path):
    page.goto(story_page.write(tmp_path / "touch.html", lab))
    story_page.ready(page)
    chip(page, 7).tap()
    told(page)
    expect(chip(page, 7)).to_have_attribute("aria-pressed", "true")
    chip(page, 7).tap()
    told(page)
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    touch("Start", where(page, 15, 3))
    touch("End")
    told(page)
    keep = CAUSAL.clone()
    keep[15, 3] = False
    assert keep_of(page) == cells(keep)
    touch("Start", where(page, 16, 3))
    page.locator(".masks-drawing").wait_for()
    touch("Move", where(page, 16, 6))
    touch("End")
    told(page)
    keep[16, 3:7] = False
    assert keep_of(page) == cells(keep)
    x, y = where(page, 15, 3)
    before = page.evaluate("scrollY")
    touch("Start", (x, y))
    for n in range(1, 11):
        touch("Move", (x, y + 15 * n))
        page.wait_for_timeout(10)
    touch("End")
    widget_page.until(page, "(before) => scrollY < before - 50", before)
    told(page)
    assert keep_of(page) == cells(keep), "a swipe changes no cell"


@pytest.mark.gate
def test_two_hundred_changes_leave_nothing_behind(story):
    session = story.context.new_cdp_session(story)

    def heap(changes):
        story.evaluate(
            """async (count) => {
              for (let n = 0; n < count; n++) {
                document.querySelectorAll(".storylab-chip")[n % 20].click();
                await new Promise((later) => setTimeout(later, 5));
              }
            }""",
            changes,
        )
        told(story)
        for _ in range(2):
            session.send("HeapProfiler.collectGarbage")
        counts = session.send("Memory.getDOMCounters")
        return session.send("Runtime.getHeapUsage")["usedSize"] / 1e6, counts["nodes"], counts["jsEventListeners"]

    heap(120)  # the history holds a hundred steps
    before, after = heap(20), heap(200)
    assert after[0] < before[0] + 0.5
    assert after[1] < before[1] + 50
    assert after[2] == before[2]


@pytest.mark.gate
@pytest.mark.skipif(not firefox.executable(), reason="there is no Firefox here")
def test_firefox_hides_draws_chooses_and_tells(lab, tmp_path):
    """The same clicks and keys as elsewhere in this file, with Firefox's own mouse and keyboard."""
    from marionette_driver import Wait
    from marionette_driver.by import By
    from marionette_driver.keys import Keys

    idle = "return !document.querySelector('[data-untold], [aria-busy], .masks-waiting')"
    with firefox.started() as fox:
        firefox.opened(fox, story_page.write(tmp_path / "page.html", lab), "return window.wrappedJSObject.ready")

        def all_of(selector):
            return fox.find_elements(By.CSS_SELECTOR, selector)

        def settled():
            fox.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
            Wait(fox, timeout=60).until(lambda _: fox.execute_script(idle))

        def press(element, *keys):
            for key in keys:
                element.send_keys(key)
            settled()

        def text(selector):
            return fox.find_element(By.CSS_SELECTOR, selector).text

        def choose(label, value):
            fox.find_element(By.CSS_SELECTOR, f"select[aria-label='{label}'] option[value='{value}']").click()
            settled()

        settled()
        told_at_first = [box.text for box in all_of(".storylab-stories p")]
        assert told_at_first[0] == told_at_first[1]
        chips = all_of(".storylab-chip")
        chips[14].click()
        settled()
        assert "is now “cat”" in text(".storylab-notice")
        press(chips[14], Keys.ARROW_RIGHT)
        assert fox.execute_script("return document.activeElement.textContent") == "She"
        press(fox.find_element(By.CSS_SELECTOR, ".storylab-chip:focus"), Keys.HOME, Keys.SPACE)
        assert [chip.get_attribute("aria-pressed") for chip in chips].count("true") == 2
        press(chips[0], Keys.CONTROL + "z")
        press(chips[0], Keys.CONTROL + "z")
        assert [chip.get_attribute("aria-pressed") for chip in chips].count("true") == 0
        assert [box.text for box in all_of(".storylab-stories p")] == told_at_first

        choose("Mask", "window")
        assert "is now “trees”" in text(".storylab-notice")
        now, trained = (box.text for box in all_of(".storylab-stories p"))
        assert now != trained == told_at_first[1]
        choose("Mask", "left_padding")
        assert "The next word does not change" in text(".storylab-notice")
        assert len(all_of(".storylab-pad")) == 4
        choose("Mask", "causal")

        grid = fox.find_element(By.CSS_SELECTOR, ".masks-drawn")
        press(grid, Keys.CONTROL + Keys.END, Keys.HOME, Keys.ARROW_RIGHT, Keys.SPACE)
        mask = "return document.querySelector('select[aria-label=Mask]').value"
        assert fox.execute_script(mask) == "drawn"
        assert text(".masks-drawn [role=gridcell]") == "query ·the, key ily: hidden, weight 0.000"
        press(grid, Keys.SPACE)
        assert fox.execute_script(mask) == "causal"
        canvas = fox.find_element(By.CSS_SELECTOR, ".masks-drawn canvas")
        canvas.click()
        settled()
        assert fox.execute_script(mask) == "drawn"
        press(grid, Keys.CONTROL + "z")
        assert fox.execute_script(mask) == "causal"

        box = fox.find_element(By.CSS_SELECTOR, ".storylab textarea")
        press(box, " dog and a")
        assert text(".storylab-stories p").startswith("… the dog and a")
        fox.find_element(By.XPATH, "//button[text()='Undo']").click()
        settled()
        box = fox.find_element(By.CSS_SELECTOR, ".storylab textarea")
        assert box.get_property("value") == story_page.TRAITS["text"]
        press(box, *[Keys.CONTROL + "z"] * 3)
        assert box.get_property("value") == story_page.TRAITS["text"]
        fox.find_element(By.XPATH, "//button[text()='Which word matters?']").click()
        settled()
        assert "“dog” falls from 56" in text(".storylab-reason p")
        assert firefox.complaints(fox) == []
