"""The words that people and tools use in the names of columns, by what they tell; see `names`."""

GROUPS = frozenset({
    "config", "configs", "cfg", "param", "params", "parameter", "parameters", "hparam", "hparams", "hyperparams",
    "hyperparameters", "hp", "optimizer", "optim", "opt", "trainer", "training", "args", "user", "attrs", "solver",
    "data", "datamodule", "dataloader", "loader", "model", "module", "values",
})  # fmt: skip
RATE = (
    ("learning", "rate"),
    ("learningrate",),
    ("lr",),
    ("lrate",),
    ("lernrate",),
    ("taux", "d", "apprentissage"),
    ("tasa", "de", "aprendizaje"),
    ("taxa", "de", "aprendizado"),
    ("taxa", "de", "aprendizagem"),
    ("学习率",),
    ("η",),
    ("eta",),
    ("step", "size"),
)
RATE_FIRST = frozenset({"peak", "max", "maximum", "effective"})
RATE_NEXT = frozenset({"base", "initial", "init", "start", "starting", "default"})
NO_RATE = frozenset({
    "min", "minimum", "final", "end", "decay", "schedule", "scheduler", "warmup", "mult", "multiplier", "factor", "log",
    "log2", "log10", "ratio", "last", "cosine", "embedding", "head", "backbone",
})  # fmt: skip
BATCH = (
    ("batch", "size"), ("batchsize",), ("bsz",), ("bs",), ("minibatch",), ("batchgröße",), ("taille", "de", "lot"),
    ("taille", "du", "lot"), ("tamaño", "de", "lote"), ("tamaño", "del", "lote"), ("tamanho", "do", "lote"),
    ("批次大小",), ("批量大小",), ("批大小",), ("batch",), ("b",),
)  # fmt: skip
WHOLE = frozenset({"global", "total", "effective", "overall"})
PART = frozenset({"per", "device", "devices", "gpu", "local", "rank", "worker", "micro", "core", "replica"})
BATCHES = ({"gpus"}, {"devices"}, {"gpu"}, {"world", "size"}, {"tpus"}, {"workers"}, {"replicas"})
OF_BATCH = WHOLE | PART | {
    "train", "mini", "n", "size", "in", "tokens", "examples", "samples", "sequences", "images", "seqs",
}  # fmt: skip

# Metrics whose smaller, and whose larger, values are better.
SMALLER = frozenset({
    "loss", "losses", "nll", "error", "err", "errors", "rmse", "mae", "mse", "mape", "rmsle", "perplexity", "ppl",
    "fid", "kid", "bpb", "bpc", "bpd", "wer", "cer", "xent", "crossentropy", "entropy", "logloss", "regret", "brier",
    "ece", "verlust", "fehler", "perte", "pérdida", "perda", "损失", "misclassification", "deviance", "cost",
    "lpips", "nats",
})  # fmt: skip
LARGER = frozenset({
    "acc", "accs", "accuracy", "accuracies", "auc", "auroc", "auprc", "rocauc", "f1", "f1score", "bleu", "return",
    "returns", "reward", "rewards", "score", "top1", "top5", "r2", "r²", "dice", "iou", "miou", "map", "precision",
    "recall", "psnr", "ssim", "rouge", "mcc", "kappa", "elo", "winrate", "mrr", "ndcg", "likelihood", "spearman",
    "pearson", "specificity", "sensitivity", "chrf", "meteor", "genauigkeit", "précision", "exactitude", "precisión",
    "exactitud", "precisão", "acurácia", "准确率",
})  # fmt: skip
NEGATED = frozenset({"neg", "negative", "minus"})
LOSSES = frozenset({"loss", "losses", "nll", "xent", "crossentropy", "entropy", "logloss", "bpb", "bpc"})
HELD_OUT = frozenset({"val", "valid", "validation", "dev", "eval", "evaluation", "heldout", "holdout"})
FINAL = frozenset({"final", "last", "end"})
BEST = frozenset({"best", "min", "max", "minimum", "maximum"})
# Metrics whose number is a cut-off or an order, as in bleu_4 and recall_10, and no seed.
CUT_OFF = frozenset({
    "bleu", "rouge", "recall", "precision", "hits", "hit", "ndcg", "map", "mrr", "ap", "top", "iou", "pass", "epoch",
    "ep", "step", "iter", "task", "class", "layer",
})  # fmt: skip
SMOOTHED = frozenset({"smooth", "smoothed", "ema"})  # over the last steps, so that it varies less
PLAIN = frozenset({"mean", "avg", "average", "of", "epoch", "value", "values", "the", "metrics", "metric", "summary"})
NO_SCORE = frozenset({
    "std", "sd", "stdev", "stddev", "stderr", "sem", "se", "ci", "low", "high", "lower", "upper", "rank", "time",
    "seconds", "secs", "target", "threshold", "weight", "weights", "scale", "coef", "coefficient", "fn", "function",
    "type", "name", "grad", "aux", "spread", "range", "margin", "difference", "diff", "gap", "delta", "initial", "init",
    "per", "penalty", "reduction", "smoothing", "spike", "params", "runtime", "count", "untrained", "regularization",
    "epsilon",
})  # fmt: skip
COSTS = frozenset({
    "steps", "step", "epochs", "epoch", "samples", "examples", "tokens", "iterations", "iters", "updates", "time",
    "hours", "seconds",
})  # fmt: skip
TIMES = frozenset({"time", "hours", "seconds"})
UPDATES = frozenset({"steps", "step", "iterations", "iters", "updates"})
CLOCKS = frozenset({"time", "hours", "seconds"})  # of one machine
ENDS = frozenset({"target", "converge", "convergence", "threshold", "solve", "reach"})
UNTOLD = frozenset({"value", "values", "objective", "result", "metric", "mean", "avg", "average", "y"})
ERROR = (("sem",), ("stderr",), ("std", "err"), ("std", "error"), ("standard", "error"), ("se",))

STEPS = ("epoch", "training_iteration", "iteration", "iter", "global_step", "_step", "step", "round")
