"""One model whose batches are too large for the memory: trained in parts, one step a batch."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from mmauto.engine.losses import TaskLoss
from mmauto.engine.memory import WholeBatchError
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.objective import objective
from mmauto.engine.once import precision
from mmauto.engine.packed.form import Alone, Gradients
from mmauto.engine.packed.graphed import mapped
from mmauto.values import Batch


class InParts(Alone):
    """Gradients of a batch as the sum of its parts', each weighted by its share of the rows.

    The loss is a mean over rows, so that this is the whole batch's step but for rounding and for
    the draws of dropout; norms over batches see one part at a time. An encoder's own terms are
    taken for means over rows, a fusion's are not.

    Args:
        rows: of a part at most.

    Raises:
        WholeBatchError: in a step, the fusion has terms of its own.
    """

    name = "parts"

    def __init__(self, model: MultimodalModel, loss: TaskLoss, rows: int):
        super().__init__([model], loss)
        self.rows = rows

    def gradients(self, arrays: Arrays, batch: Batch) -> Gradients:
        """See `Form.gradients`."""
        (model,), (own,) = self.models, self.trained
        for parameter in own:
            parameter.grad = None
        total = len(batch.index)
        loss = torch.zeros((), device=batch.index.device)
        # of equal size: a last single row would have no batch statistics
        order = torch.arange(total, device=loss.device)
        for place in order.tensor_split(-(-total // self.rows)):
            with precision(batch.index.device):
                read, part = mapped(arrays, batch, partial(torch.index_select, dim=0, index=place))
                value, result, _ = objective(model, read, part, self.loss)
                if result.losses:
                    raise WholeBatchError(
                        "the batch does not fit into the memory and cannot be trained in parts: "
                        f"the fusion's own terms ({', '.join(result.losses)}) may compare its rows"
                    )
                value = value * (len(place) / total)
            value.backward()  # type: ignore[no-untyped-call]
            loss += value.detach()
        grads = [parameter.grad for parameter in own]
        norm = nn.utils.get_total_norm([g for g in grads if g is not None])
        return Gradients(loss.unsqueeze(0), norm.unsqueeze(0), [grads])
