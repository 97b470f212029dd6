"""Training in bf16 on a processor without its instructions is remarked on."""

from ssmde.training import processor


def test_a_processor_that_emulates_bf16_is_remarked_on(monkeypatch):
    monkeypatch.setattr(
        processor, "seconds_of_convolution", lambda dtype: 2.9 if "bfloat16" in str(dtype) else 0.1
    )
    said = processor.remark_on_bf16()
    assert "29 times as long as fp32" in said
    assert "--train.precision fp32" in said


def test_a_processor_with_the_instructions_is_not(monkeypatch):
    monkeypatch.setattr(
        processor, "seconds_of_convolution", lambda dtype: 0.6 if "bfloat16" in str(dtype) else 1.0
    )
    assert processor.remark_on_bf16() == ""


def test_the_cost_is_measured_in_little_time():
    assert 0.05 < processor.bf16_cost() < 500
