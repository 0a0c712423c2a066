"""text.py with the real tokenizers."""

import pytest
import torch

from utils import models, text


def test_wordpieces_and_special_tokens_keep_their_names(minilm):
    _, tokenizer = minilm
    ids = tokenizer("Tokenization works", return_tensors="pt").input_ids[0]
    assert text.labels(tokenizer, ids) == ["[CLS]", "token", "##ization", "works", "[SEP]"]
    assert text.labels(tokenizer, ids.tolist()) == text.labels(tokenizer, ids)


def test_byte_level_tokens_show_their_spaces_and_breaks():
    tokenizer = models.load_tokenizer("gpt2")
    ids = tokenizer("It will  rain\n<|endoftext|>é").input_ids
    labels = text.labels(tokenizer, ids)
    assert labels == ["It", "·will", "·", "·rain", "⏎", "<|endoftext|>", "é"]
    assert all(text.labels(tokenizer, [i])[0] for i in range(0, tokenizer.vocab_size, 97))


def test_gpt2_ids_are_the_known_ones():
    tokenizer = models.load_tokenizer("gpt2")
    assert tokenizer("It will rain in the").input_ids == [1026, 481, 6290, 287, 262]
    assert tokenizer("I want to eat a big bowl of").input_ids == [40, 765, 284, 4483, 257, 1263, 9396, 286]
    assert tokenizer("My dog is").input_ids == [3666, 3290, 318]
    assert tokenizer.eos_token_id == 50256
    assert len(tokenizer) == 50257


@pytest.mark.parametrize("side", ["right", "left"])
def test_pad_batch_does_what_the_tokenizer_does(minilm, side):
    _, tokenizer = minilm
    sentences = ["Dogs bark at the moon.", "Wait.", "Rain is coming."]
    theirs = tokenizer(sentences, padding=True, padding_side=side, return_tensors="pt")
    input_ids, attention_mask = text.pad_batch([tokenizer(s).input_ids for s in sentences], 0, side)
    assert torch.equal(input_ids, theirs.input_ids)
    assert torch.equal(attention_mask, theirs.attention_mask)


def test_pad_batch_to_a_length_with_an_empty_row():
    input_ids, attention_mask = text.pad_batch([[5, 6], [], torch.tensor([7])], 9, length=3)
    assert input_ids.tolist() == [[5, 6, 9], [9, 9, 9], [7, 9, 9]]
    assert attention_mask.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda t: text.labels(t, torch.zeros(2, 3, dtype=torch.long)), ValueError, r"take one row: input_ids\[0\]"),
        (lambda t: text.labels(t, []), ValueError, "input_ids: got a list"),
        (lambda t: text.labels(t, ["a"]), ValueError, "wanted the ids of one sequence"),
        (lambda t: text.pad_batch([], 0), ValueError, "empty batch"),
        (lambda t: text.pad_batch([[]], 0), ValueError, "pass length"),
        (lambda t: text.pad_batch(["Wait."], 0), TypeError, r"sequences\[0\]: got 'Wait.'.*Tokenize first"),
        (lambda t: text.pad_batch([[1], 2], 0), TypeError, r"sequences\[1\]: got 2"),
        (lambda t: text.pad_batch([[1, 2, 3]], 0, length=2), ValueError, "more than length=2"),
        (lambda t: text.pad_batch([[1]], 0, length=-1), ValueError, "length: got -1"),
        (lambda t: text.pad_batch([[1]], None), TypeError, "pad_token_id: got None"),
        (lambda t: text.pad_batch([[1]], -1), ValueError, "pad_token_id: got -1"),
        (lambda t: text.pad_batch([[1]], 0, side="top"), ValueError, "side: got 'top'"),
    ],
)
def test_bad_input_is_named(minilm, call, error, says):
    with pytest.raises(error, match=says):
        call(minilm[1])
