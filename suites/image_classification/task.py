"""What a method sees that trains a classifier from scratch."""

from dataclasses import dataclass

from suites._vision.task import ImageTask


@dataclass(kw_only=True)
class ClassificationTask(ImageTask):
    """Train a classifier of images from nothing. A candidate is a module as ImageTask says, within `limits`: of
    "flops", two for each multiply-add of an image, by what is executed; `weigh` tells them of any model, trained or
    not."""
