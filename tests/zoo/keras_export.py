"""Exports a Keras application with random weights: `keras_export.py NAME TARGET OPSET`.

Needs tensorflow-cpu 2.15.1 and tf2onnx 1.16.1, which want older packages than the other exporters:
full.py runs this with the interpreter that ZOO_KERAS_PYTHON names.
"""

import sys

import numpy as np
import tensorflow as tf
import tf2onnx

name, target, opset = sys.argv[1:]
tf.keras.utils.set_random_seed(0)
model = getattr(tf.keras.applications, name)(weights=None, input_shape=(224, 224, 3))
generator = np.random.default_rng(0)
for weight in model.weights:
    noise = generator.normal(size=weight.shape)
    if "moving_variance" in weight.name or "gamma" in weight.name:
        weight.assign(1 + 0.2 * np.abs(noise))
    elif len(weight.shape) == 2 and "predictions" in weight.name:
        weight.assign(2 * noise / weight.shape[0] ** 0.5)
    elif len(weight.shape) == 1:
        weight.assign(0.1 * noise)
signature = [tf.TensorSpec((None, 224, 224, 3), tf.float32, name="images")]
tf2onnx.convert.from_keras(model, signature, opset=int(opset), output_path=target)
