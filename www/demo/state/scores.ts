// Names and descriptions of the scores.

/** Display names and one-sentence descriptions of the post-hoc detectors. */
const DETECTORS: Record<string, [name: string, description: string]> = {
  msp: ["MSP", "Maximum softmax probability."],
  mls: ["MaxLogit", "Maximum logit."],
  energy: ["Energy", "log Σ exp of the logits, without pruning."],
  crp: ["CRP only", "Energy with the redundant weights pruned."],
  ftp: ["FTP only", "Energy with this image’s overconfident weights pruned."],
  itp: ["ITP", "Energy with redundant and overconfident weights pruned."],
  odin: ["ODIN", "Maximum softmax probability at a high temperature."],
  gradnorm: ["GradNorm", "Norm of the gradient with respect to the head’s weights."],
  dice: ["DICE", "Energy of the weights with the largest mean contributions only."],
  gradnorm_leaf: ["GradNorm (leaf)", "GradNorm over the weights that ITP keeps."],
  line: ["LINe", "Energy of the features and weights that matter for the predicted class."],
  opnp: ["OPNP", "Energy without the weights and features to which the prediction is most and least sensitive."],
  bats: ["BATS", "Energy with each feature clipped to its typical range."],
  laps: ["LAPS", "Energy with each feature clipped to limits that depend on its mean."],
  vra: ["VRA", "Energy with low feature values set to zero and high ones clipped."],
  ash_p: ["ASH-P", "Energy of the largest features only."],
  ash_b: ["ASH-B", "Energy of the largest features, binarised to equal shares of their sum."],
  ash_s: ["ASH-S", "Energy of the largest features, scaled by the ratio of the total sum to theirs."],
  scale: ["SCALE", "Energy with all features scaled by the ratio of their sum to that of the largest."],
  klm: ["KLM", "KL divergence from the closest class’s mean softmax output."],
  react: ["ReAct", "Energy with features clipped from above."],
  held: ["HELD", "Energy with each contribution clamped to its limit instead of pruned."],
  held_t: ["HELD+T", "HELD minus the weighted atypicality T of the features."],
  cadref: ["CADRef", "Error relative to the class mean, split by the sign of the weight."],
  vim: ["ViM", "Energy minus the scaled residual outside the principal subspace of the features."],
  knn: ["KNN", "Distance to the k-th nearest training feature."],
  mahalanobis: ["Mahalanobis", "Mahalanobis distance to the nearest class mean."],
};

/** Listed first. */
const FIRST = ["itp", "energy", "held", "held_t", "cadref"];

/** Scores in the order in which the page lists them. */
export function inOrder(scores: readonly string[]): string[] {
  return [...FIRST.filter((score) => scores.includes(score)), ...scores.filter((score) => !FIRST.includes(score))];
}

/** A score's display name. */
export function nameOf(score: string): string {
  return (DETECTORS[score]?.[0] ?? score.split("+").map((part) => DETECTORS[part]?.[0] ?? part.toUpperCase()).join(" + "));
}

/** A score in one sentence. */
export function descriptionOf(score: string): string {
  if (score.endsWith("+itp")) return `${nameOf(score.slice(0, -4))} of the logits that ITP pruned.`;
  return DETECTORS[score]?.[1] ?? "";
}
