"""Scores of a segmentation from its confusion matrix, as semantic segmentation defines them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix


class SegmentationScores(NamedTuple):
    """Long, Shelhamer and Darrell 2015 (arXiv 1411.4038), section 5; n_ij pixels of class i taken for class j.

    Attributes:
        pixel_accuracy: sum_i n_ii / sum_i t_i, with t_i = sum_j n_ij.
        class_accuracy: mean over classes of n_ii / t_i; classes without pixels in the labels are left out.
        class_iou: mean over classes of n_ii / (t_i + sum_j n_ji - n_ii); a class that is in neither is left out, one
            that no label has and some pixel is taken for counts as 0.
        ious: of each class, [K]; NaN where it is left out.
    """

    pixel_accuracy: float
    class_accuracy: float
    class_iou: float
    ious: Tensor


def segmentation_scores(confusion: Tensor) -> SegmentationScores:
    """Return the scores of a confusion matrix [K, K], rows the labels; some pixel has to have a label."""
    counts = confusion.double()
    hits, labels, guesses = counts.diagonal(), counts.sum(1), counts.sum(0)
    accuracies, ious = hits / labels, hits / (labels + guesses - hits)
    return SegmentationScores(
        float(hits.sum() / labels.sum()), float(accuracies.nanmean()), float(ious.nanmean()), ious
    )


def confusion_of(guess: Tensor, label: Tensor, num_classes: int, ignored: int) -> Tensor:
    """Return the confusion matrix [K, K] of ids [H, W], rows the labels; pixels labelled ``ignored`` do not count."""
    matrix: Tensor = multiclass_confusion_matrix(guess.flatten(), label.flatten(), num_classes, ignore_index=ignored)
    return matrix.to(torch.int64)
