"""How often a quantised model has the same label here as with ONNX Runtime.

    python quantized.py SHARED LOGITS [WORD ...]

SHARED is the folder of the larger test data, LOGITS the built example `logits` of crates/backbone.
Calibration images (every 13th) aren't scored. ONNX Runtime's kernels for 8-bit weights with a sign saturate in 16 bits
on x86-64 processors without VNNI instructions, so its optimised label is that of another network there; without
optimisation it computes QDQ models in float, as they are written. Its logits are rounded to 256 levels, and a label counts
as the same if its logit is the largest or equal to that.
"""

import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

U8, S8 = QuantType.QUInt8, QuantType.QInt8
FORMATS = {
    "QDQ u8s8": dict(quant_format=QuantFormat.QDQ, activation_type=U8, weight_type=S8),
    "QDQ u8s8, per channel": dict(quant_format=QuantFormat.QDQ, activation_type=U8, weight_type=S8,
                                  per_channel=True),
    "QDQ s8s8, symmetric": dict(quant_format=QuantFormat.QDQ, activation_type=S8, weight_type=S8,
                                per_channel=True, extra_options={"ActivationSymmetric": True}),
    "QOperator u8u8": dict(quant_format=QuantFormat.QOperator, activation_type=U8, weight_type=U8),
    "QOperator u8s8, per channel, percentile": dict(
        quant_format=QuantFormat.QOperator, activation_type=U8, weight_type=S8, per_channel=True,
        calibrate_method=CalibrationMethod.Percentile),
    "dynamic u8": None,
}


def cifar(shared, name, count):
    mean = np.array([.4914, .4822, .4465], np.float32)[:, None, None]
    std = np.array([.2023, .1994, .2010], np.float32)[:, None, None]
    images = []
    with tarfile.open(shared / f"data/{name}-test.tar") as tar:
        members = [member for member in tar if member.isfile()]
        for member in members[::len(members) // count]:
            pixels = np.asarray(Image.open(io.BytesIO(tar.extractfile(member).read())), np.float32)
            images.append((pixels.transpose(2, 0, 1) / 255 - mean) / std)
    return np.stack(images).astype(np.float32)


def photos(shared):
    images = []
    with tarfile.open(shared / "data/imagenet-sample.tar") as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            scale = 256 / min(image.size)
            image = image.resize([int(side * scale) for side in image.size], Image.BILINEAR)
            left, top = (image.width - 224) // 2, (image.height - 224) // 2
            image = image.crop((left, top, left + 224, top + 224))
            images.append(np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1)
    return np.stack(images).astype(np.float32)


class Reader(quantization.CalibrationDataReader):
    def __init__(self, images):
        self.rest = iter(images)

    def get_next(self):
        image = next(self.rest, None)
        return None if image is None else {"input": image[None]}


def runtime(path, images, optimised=True):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(["logits"], {"input": image[None]})[0].reshape(-1)
                     for image in images])


def same(logits, label):
    return np.mean(logits[np.arange(len(label)), label] >= logits.max(1))


def here(logits, path, images):
    with tempfile.NamedTemporaryFile(suffix=".f32") as file:
        images.tofile(file.name)
        height, width = images.shape[2:]
        result = subprocess.run([logits, path, file.name, str(height), str(width)], check=True,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return np.frombuffer(result.stdout, np.float32).reshape(len(images), -1)


def main():
    shared, logits, *words = sys.argv[1:]
    shared = pathlib.Path(shared)
    print("| model | quantised | images | same label as written | same label as optimised | optimised, as written | float32 model's, as written |")
    print("|---|---|---|---|---|---|---|")
    for model, images in (("photos", lambda: cifar(shared, "cifar10", 975)),
                          ("mobilenet_v2_imagenet", lambda: photos(shared)),
                          ("densenet100_cifar10", lambda: cifar(shared, "cifar10", 325)),
                          ("densenet100_cifar100", lambda: cifar(shared, "cifar100", 325))):
        if words and not any(word in model for word in words):
            continue
        images = images()
        picked = np.arange(len(images)) % 13 == 0
        scored = images[~picked]
        ours = pathlib.Path(__file__).parents[2] / f"www/models/{model}.onnx"
        source = str(ours if ours.exists() else shared / f"models/{model}.onnx")
        plain = runtime(source, scored).argmax(1)
        with tempfile.TemporaryDirectory() as folder:
            prepared, target = f"{folder}/prepared.onnx", f"{folder}/quantised.onnx"
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            for name, settings in FORMATS.items():
                if settings is None:
                    quantization.quantize_dynamic(prepared, target, weight_type=U8)
                else:
                    quantization.quantize_static(prepared, target, Reader(images[picked]),
                                                 **settings)
                written, optimised = (runtime(target, scored, optimised) for optimised in (False, True))
                own = here(logits, target, scored).argmax(1)
                shares = [same(written, own), same(optimised, own), same(written, optimised.argmax(1)), same(written, plain)]
                print(f"| {model} | {name} | {len(scored)} | " + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
