"""Exports the zoo: small classifiers of many architectures, exporters, operator sets and
precisions, with ONNX Runtime's logits for each in expected.txt: name, image, logits.

    python make.py [--logits] [NAME ...]

Run in this folder with the packages of requirements.txt. Models whose name holds one of the given
words are made again; without a word, all. With --logits, only the logits are computed again.
"""

import copy
import io
import logging
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from onnxconverter_common import float16
from onnxruntime import quantization

import architectures
from architectures import HUGGING_FACE, TIMM, TORCHVISION, randomise

HERE = pathlib.Path(__file__).parent
MODELS, EXPECTED = HERE / "models", HERE / "expected.txt"
LIMIT = 100_000
LARGE = ("levit", "visformer", "cvt", "mobilevit", "hf_pvt_", "hf_efficientnet", "tv_shuffle")
IMAGES = 2


def size_of(name):
    return 64 if any(word in name for word in LARGE) else 32


def images(name):
    """The same images as in crates/backbone/tests/zoo.rs and tests/js/zoo.test.mjs: bytes, channel
    by channel, normalised with mean and standard deviation 0.5."""
    size = size_of(name)
    result = []
    for seed in range(IMAGES):
        state = (seed * 2_654_435_761 + 1) & 0xFFFFFFFF
        values = np.empty(3 * size * size, np.float32)
        for index in range(values.size):
            state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
            values[index] = state >> 24
        result.append(values.reshape(1, 3, size, size) / np.float32(127.5) - np.float32(1))
    return np.stack(result)


def export(name, model, opset, dynamo=False, dynamic="batch"):
    size = size_of(name)
    example = torch.zeros(1, 3, size, size)
    buffer = io.BytesIO()
    axes = {"batch": {0: "batch"}, "fixed": {},
            "all": {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"}}[dynamic]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            program = torch.onnx.export(model, (example,), dynamo=True, opset_version=opset,
                                        input_names=["pixel_values"], output_names=["logits"])
            return program.model_proto
        torch.onnx.export(model, (example,), buffer, opset_version=opset, dynamo=False,
                          input_names=["pixel_values"], output_names=["logits"],
                          dynamic_axes={"pixel_values": axes, "logits": {0: "batch"}} if axes
                          else None)
    return onnx.load_from_string(buffer.getvalue())


def run(model, inputs, level=onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    kind = {"tensor(float)": np.float32, "tensor(float16)": np.float16,
            "tensor(double)": np.float64}[source.type]
    names = [output.name for output in session.get_outputs()]
    answers = [session.run(names[-1:], {source.name: image.astype(kind)})[0] for image in inputs]
    return np.stack([answer.reshape(-1).astype(np.float32) for answer in answers])


class Reader(quantization.CalibrationDataReader):
    def __init__(self, model, inputs):
        self.name = model.graph.input[0].name
        self.rest = iter(inputs)

    def get_next(self):
        image = next(self.rest, None)
        return None if image is None else {self.name: image}


def on_disk(model, work):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        onnx.save(model, folder / "in.onnx")
        work(str(folder / "in.onnx"), str(folder / "out.onnx"))
        return onnx.load(folder / "out.onnx")


def prepared(model):
    from onnxruntime.quantization.shape_inference import quant_pre_process
    return on_disk(model, lambda i, o: quant_pre_process(i, o, skip_symbolic_shape=True))


def static(model, name, **kwargs):
    from onnxruntime.quantization import QuantFormat, QuantType
    settings = dict(quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, per_channel=False)
    settings.update(kwargs)
    model = prepared(model)
    return on_disk(model, lambda i, o: quantization.quantize_static(
        i, o, Reader(model, images(name)), **settings))


def precisions(name, model):
    """What becomes of a float32 model, by suffix."""
    from onnxruntime.quantization import QuantFormat, QuantType
    u8, s8 = QuantType.QUInt8, QuantType.QInt8
    return {
        "fp16": lambda: float16.convert_float_to_float16(copy.deepcopy(model)),
        "fp16_io32": lambda: float16.convert_float_to_float16(copy.deepcopy(model),
                                                              keep_io_types=True),
        "qdq_u8s8": lambda: static(model, name),
        "qdq_s8s8_channel": lambda: static(model, name, activation_type=s8, per_channel=True,
                                           extra_options={"ActivationSymmetric": True}),
        "qdq_u8u8": lambda: static(model, name, weight_type=u8),
        "qop_u8s8": lambda: static(model, name, quant_format=QuantFormat.QOperator),
        "qop_u8u8_channel": lambda: static(model, name, quant_format=QuantFormat.QOperator,
                                           weight_type=u8, per_channel=True),
        "qop_s8s8": lambda: static(model, name, quant_format=QuantFormat.QOperator,
                                   activation_type=s8),
        "dynamic_u8": lambda: on_disk(prepared(model), lambda i, o: quantization.quantize_dynamic(
            i, o, weight_type=u8)),
        "dynamic_s8_channel": lambda: on_disk(
            prepared(model), lambda i, o: quantization.quantize_dynamic(
                i, o, weight_type=s8, per_channel=True,
                # ONNX Runtime has no ConvInteger for signed weights.
                op_types_to_quantize=["MatMul", "Gemm"])),
        "ort_basic": lambda: optimised(model, "ORT_ENABLE_BASIC"),
        "ort_extended": lambda: optimised(model, "ORT_ENABLE_EXTENDED"),
        "bf16": lambda: bfloat16(model),
    }


def optimised(model, level):
    def work(source, target):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = target
        options.log_severity_level = 3
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return on_disk(model, work)


def rounded(model):
    """The float32 model with the weights of its float16 form."""
    model = copy.deepcopy(model)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def bfloat16(model):
    """Weights stored as bfloat16, cast to float32 where they are used."""
    model = copy.deepcopy(model)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        bits = numpy_helper.to_array(tensor).astype(np.float32).view(np.uint32)
        halves = ((bits + 0x8000) >> 16).astype(np.uint16)
        name = tensor.name + ".bf16"
        casts.append(onnx.helper.make_node("Cast", [name], [tensor.name], to=1,
                                           name=tensor.name + ".cast"))
        stored = onnx.TensorProto(name=name, data_type=onnx.TensorProto.BFLOAT16,
                                  dims=tensor.dims, raw_data=halves.tobytes())
        tensor.CopyFrom(stored)
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    return model


SUFFIXES = ("fp16", "fp16_io32", "qdq_u8s8", "qdq_s8s8_channel", "qdq_u8u8", "qop_u8s8",
            "qop_u8u8_channel", "qop_s8s8", "dynamic_u8", "dynamic_s8_channel", "ort_basic",
            "ort_extended", "bf16")


def combinations():
    """(name, model that makes it, float32 model to compare with)."""
    for name in TIMM:
        yield f"timm_{name}", TIMM[name], dict(opset=17)
    for name in TORCHVISION:
        yield f"tv_{name}", TORCHVISION[name], dict(opset=17)
    for name in HUGGING_FACE:
        yield f"hf_{name}", HUGGING_FACE[name], dict(opset=14, dynamic="all")
    for opset in (9, 11, 13, 16, 18, 20):
        for name in ("resnet", "mobilenetv3", "vit", "convnext", "swin"):
            if opset > 10 or name in ("resnet", "mobilenetv3"):
                yield f"timm_{name}_opset{opset}", TIMM[name], dict(opset=opset)
    for opset in (18, 20, 23):
        for name in ("resnet", "efficientnet", "vit", "deit_distilled", "convnext"):
            yield (f"timm_{name}_dynamo{opset}", TIMM[name],
                   dict(opset=opset, dynamo=True))
    for name in ("resnet", "vit"):
        yield f"timm_{name}_fixed", TIMM[name], dict(opset=17, dynamic="fixed")
    yield "timm_densenet_f64", lambda: TIMM["densenet"]().double(), dict(opset=17)


PRECISIONS = {
    "timm_resnet": None, "timm_mobilenetv3": None, "timm_vit": None, "timm_mobilenetv2": None,
    "timm_densenet": ["qop_u8s8", "qdq_u8s8", "fp16"],
    "timm_convnext": ["qdq_u8s8", "dynamic_u8", "fp16", "ort_extended"],
    "timm_efficientnet": ["qop_u8s8", "qdq_s8s8_channel", "fp16"],
    "timm_swin": ["qdq_u8s8", "dynamic_u8", "ort_extended"],
    "timm_vgg": ["qop_u8s8", "qop_s8s8", "dynamic_u8"],
    "timm_deit_distilled": ["qdq_u8s8", "dynamic_s8_channel"],
    "hf_vit": ["dynamic_s8_channel", "qdq_u8s8", "ort_extended", "fp16"],
    "hf_deit_teacher": ["dynamic_u8"],
    "tv_shufflenet": ["qop_u8s8"],
    "tv_conv_head": ["qop_u8s8", "qdq_u8s8"],
}


def make(name, build, settings, expected):
    torch.manual_seed(0)
    model = randomise(build())
    inputs = images(name)
    if name.endswith("_f64"):
        torch.set_default_dtype(torch.float64)
        try:
            proto = export(name, model, **settings)
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        proto = export(name, model, **settings)
    save(name, proto)
    reference = run(proto, inputs)
    expected[name] = reference
    key = name
    if key in PRECISIONS:
        for suffix, convert in precisions(name, proto).items():
            if PRECISIONS[key] is not None and suffix not in PRECISIONS[key]:
                continue
            full = f"{name}_{suffix}"
            try:
                converted = convert()
                save(full, converted)
                if suffix == "bf16":
                    expected[full] = run(converted, inputs)
                    continue
                expected[full] = run(rounded(proto), inputs) if "fp16" in suffix else reference
                if suffix.startswith(("qdq", "qop", "dynamic")):
                    expected[f"{full}.quantized"] = run(converted, inputs)
            except Exception as error:
                print(f"FAILED {full}: {type(error).__name__}: {str(error)[:200]}")


def shorten(graph, names, outer):
    """Exporters' long names are half of a small file."""
    def short(name):
        return names.setdefault(name, f"v{len(names)}") if name else name

    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    for node in graph.node:
        node.doc_string = ""
        node.name = f"{node.op_type}_{len(names)}" if node.name else ""
        del node.metadata_props[:]
        for values in (node.input, node.output):
            values[:] = [short(value) for value in values]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                shorten(attribute.g, names, False)
    if not outer:
        for value in [*graph.input, *graph.output]:
            value.name = short(value.name)


def save(name, proto):
    graph = proto.graph
    shorten(graph, {value.name: value.name for value in [*graph.input, *graph.output]}, True)
    del graph.quantization_annotation[:]
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    data = proto.SerializeToString()
    if len(data) > LIMIT:
        raise ValueError(f"{len(data)} bytes")
    (MODELS / f"{name}.onnx").write_bytes(data)


def read_expected():
    expected = {}
    for line in EXPECTED.read_text().splitlines() if EXPECTED.exists() else []:
        name, image, *logits = line.split()
        expected.setdefault(name, []).append(np.array(logits, np.float32))
    return {name: np.stack(rows) for name, rows in expected.items()}


def write_expected(expected):
    lines = [" ".join([name, str(image), *(f"{logit:.7g}" for logit in logits)])
             for name, rows in sorted(expected.items()) for image, logits in enumerate(rows)]
    EXPECTED.write_text("\n".join(lines) + "\n")


def logits_again(name, expected):
    """What `make` computes, for the file that is there."""
    inputs, model = images(name), onnx.load(MODELS / f"{name}.onnx")
    expected[name] = run(model, inputs)
    for suffix in SUFFIXES:
        path = MODELS / f"{name}_{suffix}.onnx"
        if not path.exists():
            continue
        full = path.stem
        if suffix == "bf16":
            expected[full] = run(onnx.load(path), inputs)
            continue
        expected[full] = run(rounded(model), inputs) if "fp16" in suffix else expected[name]
        if suffix.startswith(("qdq", "qop", "dynamic")):
            expected[f"{full}.quantized"] = run(onnx.load(path), inputs)


def main():
    words = [word for word in sys.argv[1:] if word != "--logits"]
    MODELS.mkdir(exist_ok=True)
    expected = read_expected()
    logging.disable(logging.WARNING)
    for name, build, settings in combinations():
        if words and not any(word in name for word in words):
            continue
        try:
            if "--logits" in sys.argv:
                logits_again(name, expected)
            else:
                make(name, build, settings, expected)
            print("made", name, flush=True)
        except Exception as error:
            print(f"FAILED {name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
        write_expected(expected)


if __name__ == "__main__":
    main()
