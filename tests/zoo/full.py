"""Measures full-size classifiers: what loads, how exact, how fast, in how much memory.

    python full.py FOLDER LOGITS [WORD ...]

Models are made with random weights in FOLDER, one at a time, measured against ONNX Runtime, and
deleted. LOGITS is the built example `logits` of crates/backbone. Every result is a line of
FOLDER/results.jsonl; what is there already isn't measured again. With WORDs, only models whose name
holds one of them are. Several may run at once. `table.py` makes the table of docs/models.md of it.
"""

import argparse
import contextlib
import gc
import io
import json
import logging
import os
import pathlib
import select
import shutil
import subprocess
import sys
import time
import warnings
import zlib

import numpy as np
import onnx
import onnxruntime
import torch
from onnxconverter_common import float16
from onnxruntime import quantization
from onnxruntime.quantization import QuantFormat, QuantType
from onnxruntime.quantization.shape_inference import quant_pre_process

import make
from catalogue import PRECISIONS, entries, randomise, settle

U8, S8 = QuantType.QUInt8, QuantType.QInt8
ROUNDS = 3


def pictures(size, count=2):
    """Coarse and fine structure, about as bright as normalised photos."""
    generator = np.random.default_rng(0)
    coarse = generator.normal(size=(count, 3, 8, 8)).repeat(-(-size // 8), 2)
    coarse = coarse.repeat(-(-size // 8), 3)[:, :, :size, :size]
    return (coarse + 0.3 * generator.normal(size=(count, 3, size, size))).astype(np.float32)


def session(path, level="ORT_ENABLE_ALL"):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Theirs:
    """ONNX Runtime on one thread."""

    def __init__(self, path, level="ORT_ENABLE_ALL"):
        try:
            self.session = session(path, level)
        except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException:
            # Its optimisations fail on some float16 files.
            self.session = session(path, "ORT_ENABLE_BASIC")
        source = self.session.get_inputs()[0]
        self.input = source.name
        self.kind = {"tensor(float)": np.float32, "tensor(float16)": np.float16}[source.type]
        self.last = source.shape[-1] == 3
        names = [output.name for output in self.session.get_outputs()]
        self.output = next((name for name in names if "logits" in name), names[0])

    def run(self, image):
        image = image[None].astype(self.kind)
        image = image.transpose(0, 2, 3, 1) if self.last else image
        start = time.process_time()
        [answer] = self.session.run([self.output], {self.input: image})
        return answer.reshape(-1).astype(np.float64), time.process_time() - start


class Refused(Exception):
    pass


class Ours:
    """The engine, in a process of its own."""

    def __init__(self, logits, path, size, classes):
        self.classes = classes
        self.process = subprocess.Popen(
            [logits, str(path), "-", str(size), str(size)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.rest = b""
        self.line()
        self.load_s = self.processor_time()
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        self.resident = next(int(line.split()[1]) * 1024 for line in status.splitlines()
                             if line.startswith("VmRSS"))
        self.peak = next(int(line.split()[1]) * 1024 for line in status.splitlines()
                         if line.startswith("VmHWM"))

    def line(self):
        while b"\n" not in self.rest:
            if not select.select([self.process.stderr], [], [], 600)[0]:
                raise Refused("no answer in ten minutes")
            more = os.read(self.process.stderr.fileno(), 65536)
            if not more:
                raise Refused(self.rest.decode().strip())
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        try:
            float(line)
        except ValueError:
            raise Refused((line + b"\n" + self.rest).decode().strip()) from None
        return line

    def processor_time(self):
        """Seconds on a processor. A busy machine's wall time says little."""
        return int(pathlib.Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def run(self, image):
        start = self.processor_time()
        self.process.stdin.write(image.tobytes())
        self.line()
        answer = b""
        while len(answer) < self.classes * 4:
            if not select.select([self.process.stdout], [], [], 5)[0]:
                raise Refused(f"{len(answer) // 4} logits instead of {self.classes}")
            answer += os.read(self.process.stdout.fileno(), 65536)
        seconds = self.processor_time() - start
        return np.frombuffer(answer, np.float32).astype(np.float64), seconds

    def close(self):
        self.process.kill()
        self.process.wait()


def distance(left, right):
    return float(np.abs(left - right).max() / np.abs(right).max())


def measure(logits, path, size, reference=None):
    """A result. `reference` holds the logits to compare with, if those of the file aren't it."""
    images = pictures(size)
    theirs = Theirs(path)
    compared = without_softmax(path)
    answer = Theirs(compared)
    own = np.stack([answer.run(image)[0] for image in images])
    result = dict(mb=round(file_size(path) / 1e6, 2), classes=own.shape[1], size=size)
    ours = None
    try:
        ours = Ours(logits, path, size, own.shape[1])
        result.update(load_s=round(ours.load_s, 3), peak_mb=round(ours.peak / 1e6, 1),
                      resident_mb=round(ours.resident / 1e6, 1))
        rows, our_times, their_times = [], [], []
        for turn in range(ROUNDS):
            for image in images:
                their_times.append(theirs.run(image)[1])
                row, seconds = ours.run(image)
                our_times.append(seconds)
                rows.append(row)
            if sum(their_times) + sum(our_times) > 20:
                break
        rows = np.stack(rows[:2])
        result["ratio"] = round(min(our_times) / min(their_times), 2)
        result["ms"] = round(min(our_times) * 1e3, 1)
        expected = own if reference is None else reference
        result["error"] = distance(rows, expected)
        result["spread"] = float(own.std())
        if reference is not None:
            result["theirs"] = distance(own, reference)
            result["apart"] = distance(rows, own)
        elif not result["error"] < 1e-3:
            plain = Theirs(compared, "ORT_DISABLE_ALL")
            plain = np.stack([plain.run(image)[0] for image in images])
            result["noise"] = distance(plain, own)
            result["error_plain"] = distance(rows, plain)
    except Refused as refusal:
        result["refused"] = str(refusal)
    finally:
        if ours:
            ours.close()
    return result


def without_softmax(path):
    """A Softmax at the end is left out by the engine; so it is here."""
    model = onnx.load(path, load_external_data=False)
    last = model.graph.node[-1]
    if last.op_type != "Softmax" or last.output[0] not in [o.name for o in model.graph.output]:
        return path
    logits = onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None)
    del model.graph.output[:]
    model.graph.output.append(logits)
    model.graph.node.remove(last)
    target = path.with_name("logits.onnx")
    onnx.save(model, target)
    return target


def file_size(path):
    beside = path.with_name(path.name + ".data")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)


def export(entry, folder):
    """Writes the float32 model; (path, exporter)."""
    path, exporter = written(entry, folder)
    if entry["kind"] == "efficientnet" and exporter != "tf2onnx":
        # It pools 7 x 7 pixels by 1280 x 1280. PyTorch divides by the pixels that are there, ONNX
        # Runtime by all, unless it is told that padding doesn't count.
        model = onnx.load(path)
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.name == "count_include_pad":
                    attribute.i = 0
        onnx.save(model, path)
    return path, exporter


def written(entry, folder):
    path = folder / "model.onnx"
    torch.manual_seed(0)
    if "keras" in entry:
        script = pathlib.Path(__file__).with_name("keras_export.py")
        python = os.environ.get("ZOO_KERAS_PYTHON", sys.executable)
        subprocess.run([python, script, entry["keras"], path, str(entry["opset"])], check=True,
                       capture_output=True)
        return path, "tf2onnx"
    size = entry["size"]()
    model = randomise(entry["build"]())
    if entry["kind"] != "levit" and entry["kind"] != "levit_teacher":
        # Theirs stand behind attention, whose results hardly differ: with such statistics ONNX
        # Runtime's own optimisations change the logits by 2%.
        model = settle(model, pictures(size, 8))
    if entry.get("dynamic") == "all":
        with contextlib.suppress(ImportError, ValueError, KeyError, NotImplementedError):
            from optimum.exporters.onnx import onnx_export_from_model
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                onnx_export_from_model(model, folder / "optimum", task="image-classification",
                                       do_validation=False, opset=entry["opset"])
            return folder / "optimum" / "model.onnx", "optimum"
        model = make.architectures.Logits(model)
    example = torch.zeros(1, 3, size, size)
    axes = {0: "batch_size"}
    inputs = axes | ({1: "num_channels", 2: "height", 3: "width"} if entry.get("dynamic") else {})
    settings = dict(input_names=["pixel_values"], output_names=["logits"],
                    opset_version=entry["opset"])
    if entry.get("dynamo"):
        torch.onnx.export(model, (example,), dynamo=True, **settings).save(str(path))
        return path, "torch dynamo"
    torch.onnx.export(model, (example,), str(path), dynamo=False,
                      dynamic_axes={"pixel_values": inputs, "logits": axes}, **settings)
    return path, "torch"


class Reader(quantization.CalibrationDataReader):
    def __init__(self, path, size):
        self.name = onnx.load(path, load_external_data=False).graph.input[0].name
        self.rest = iter(pictures(size, 4))

    def get_next(self):
        image = next(self.rest, None)
        return None if image is None else {self.name: image[None]}


def converted(source, target, suffix, size):
    """Writes a model in another precision, and the float32 model to compare with, if it isn't the
    source."""
    if suffix.startswith("fp16"):
        model = onnx.load(source)
        single = target.with_name("rounded.onnx")
        onnx.save(make.rounded(model), single)
        casts = {node.name for node in model.graph.node if node.op_type == "Cast"}
        model = float16.convert_float_to_float16(model, keep_io_types=suffix == "fp16_io32")
        for node in model.graph.node:
            # The converter leaves the model's own casts to float32.
            if node.name in casts and node.attribute[0].i == onnx.TensorProto.FLOAT:
                node.attribute[0].i = onnx.TensorProto.FLOAT16
        onnx.save(model, target)
        return single
    if suffix == "bf16":
        onnx.save(make.bfloat16(onnx.load(source)), target)
        return target
    if suffix.startswith("ort"):
        options = onnxruntime.SessionOptions()
        level = {"ort_basic": "ORT_ENABLE_BASIC", "ort_extended": "ORT_ENABLE_EXTENDED"}[suffix]
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        return source
    prepared = target.with_name("prepared.onnx")
    if not prepared.exists():
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    if suffix == "dynamic_u8":
        quantization.quantize_dynamic(str(prepared), str(target), weight_type=U8)
        return source
    if suffix == "dynamic_s8_channel":
        quantization.quantize_dynamic(str(prepared), str(target), weight_type=S8, per_channel=True,
                                      op_types_to_quantize=["MatMul", "Gemm"])
        return source
    settings = {
        "qdq_u8s8": dict(), "qdq_s8s8_channel": dict(
            activation_type=S8, per_channel=True, extra_options={"ActivationSymmetric": True}),
        "qdq_u8u8": dict(weight_type=U8),
        "qop_u8s8": dict(quant_format=QuantFormat.QOperator),
        "qop_u8u8_channel": dict(quant_format=QuantFormat.QOperator, weight_type=U8,
                                 per_channel=True),
        "qop_s8s8": dict(quant_format=QuantFormat.QOperator, activation_type=S8),
    }[suffix]
    settings = dict(quant_format=QuantFormat.QDQ, activation_type=U8, weight_type=S8) | settings
    quantization.quantize_static(str(prepared), str(target), Reader(prepared, size), **settings)
    return source


def suffixes(name):
    wanted = PRECISIONS.get(name, [])
    return make.SUFFIXES if wanted is None else wanted


class Results:
    def __init__(self, folder):
        self.path = folder / "results.jsonl"
        self.claims = folder / "claims"
        self.claims.mkdir(exist_ok=True)

    def done(self):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return {json.loads(line)["name"] for line in lines}

    def claim(self, name):
        """Whether no other process works on a model."""
        path = self.claims / name
        with contextlib.suppress(FileNotFoundError, ValueError):
            if pathlib.Path(f"/proc/{int(path.read_text())}").exists():
                return False
            path.unlink()
        with contextlib.suppress(FileExistsError), path.open("x") as file:
            file.write(str(os.getpid()))
            return True
        return False

    def add(self, name, result):
        result = dict(name=name, **result, load_average=round(os.getloadavg()[0], 1))
        with self.path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        words = result.get("refused") or result.get("failed") or (
            f"{result['error']:.1e} x{result['ratio']} {result['load_s']} s {result['mb']} MB "
            f"peak {result['peak_mb']} MB")
        print(name, words[:300], flush=True)


def model(name, entry, names, results, logits, folder):
    """Measures one float32 model and what is made of it."""
    try:
        path, exporter = export(entry, folder)
        size = entry["size"]()
        note = dict(exporter=exporter, opset=entry["opset"])
    except Exception as error:  # noqa: BLE001
        text = getattr(error, "stderr", None) or str(error)
        text = text.decode()[-300:] if isinstance(text, bytes) else text[:300]
        results.add(name, dict(failed=f"export: {type(error).__name__}: {text}"))
        return
    gc.collect()
    if name in names:
        try:
            results.add(name, note | measure(logits, path, size))
        except Exception as error:  # noqa: BLE001
            results.add(name, note | dict(failed=f"{type(error).__name__}: {str(error)[:300]}"))
    for suffix in suffixes(name):
        full = f"{name}_{suffix}"
        if full not in names:
            continue
        try:
            target = folder / "converted.onnx"
            single = Theirs(converted(path, target, suffix, size), "ORT_ENABLE_ALL")
            reference = np.stack([single.run(image)[0] for image in pictures(size)])
            del single
            results.add(full, note | measure(logits, target, size, reference))
        except Exception as error:  # noqa: BLE001
            results.add(full, note | dict(failed=f"{type(error).__name__}: {str(error)[:300]}"))


def parsed():
    """The command line's arguments; the folder exists."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("logits")
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    return arguments


def main():
    arguments = parsed()
    results = Results(arguments.folder)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    work = arguments.folder / f"work{os.getpid()}"
    # Mixed, so that what is done after a while is a fair sample.
    for name, entry in sorted(entries(), key=lambda entry: zlib.crc32(entry[0].encode())):
        names = [name, *(f"{name}_{suffix}" for suffix in suffixes(name))]
        words = arguments.words or [""]
        done = results.done()
        names = [full for full in names if full not in done and any(w in full for w in words)]
        if not names or not results.claim(name):
            continue
        work.mkdir()
        try:
            model(name, entry, names, results, arguments.logits, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            (results.claims / name).unlink()


if __name__ == "__main__":
    main()
