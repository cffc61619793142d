"""Image classifiers at reduced width and depth, with random weights.

Every function takes no arguments and returns a module in evaluation mode that maps images
`[N, 3, SIZE, SIZE]` to logits `[N, 10]`; LARGE names those that need 64 x 64 pixels.
"""

import functools
import importlib

import torch

CLASSES = 10


def timm_model(module, cls, **kwargs):
    kwargs.setdefault("num_classes", CLASSES)
    return getattr(importlib.import_module(f"timm.models.{module}"), cls)(**kwargs)


def resnet(block="BasicBlock", **kwargs):
    module = importlib.import_module("timm.models.resnet")
    settings = dict(layers=(1, 1, 1, 1), channels=(8, 8, 12, 16), stem_width=8)
    settings.update(kwargs)
    return module.ResNet(getattr(module, block), num_classes=CLASSES, **settings)


def efficientnet(cls="EfficientNet", blocks=None, **kwargs):
    from timm.models._efficientnet_builder import decode_arch_def
    module = importlib.import_module(
        "timm.models.mobilenetv3" if cls == "MobileNetV3" else "timm.models.efficientnet")
    blocks = blocks or [["ds_r1_k3_s1_e1_c8_se0.25"], ["ir_r2_k3_s2_e2_c8_se0.25"],
                        ["ir_r1_k5_s2_e3_c12_se0.25"]]
    kwargs.setdefault("num_features", 24)
    return getattr(module, cls)(decode_arch_def(blocks), stem_size=8, num_classes=CLASSES,
                                **kwargs)


def hugging_face(config, cls, **kwargs):
    import transformers
    config = getattr(transformers, config)(num_labels=CLASSES, **kwargs)
    return Logits(getattr(transformers, cls)(config))


class Logits(torch.nn.Module):
    """The logits alone, as optimum exports them."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model(pixel_values=pixel_values).logits


def torchvision_model(name, **kwargs):
    return getattr(importlib.import_module("torchvision.models"), name)(
        num_classes=CLASSES, **kwargs)


VIT = dict(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2)
HF_VIT = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
              image_size=32, patch_size=8)

TIMM = {
    "resnet": lambda: resnet(),
    "resnet_bottleneck": lambda: resnet("Bottleneck", channels=(4, 4, 6, 8)),
    "resnet_d_se": lambda: resnet(
        "Bottleneck", channels=(4, 4, 6, 8), stem_type="deep", avg_down=True,
        block_args=dict(attn_layer="se")),
    "resnext": lambda: resnet("Bottleneck", channels=(4, 4, 8, 8), cardinality=2, base_width=64),
    "resnet_eca": lambda: resnet(channels=(8, 8, 12, 12), block_args=dict(attn_layer="eca")),
    "res2net": lambda: timm_model(
        "resnet", "ResNet", block=importlib.import_module("timm.models.res2net").Bottle2neck,
        layers=(1, 1, 1, 1), channels=(4, 4, 8, 8), cardinality=1, base_width=64,
        block_args=dict(scale=4), stem_width=8),
    "resnetv2": lambda: timm_model("resnetv2", "ResNetV2", layers=(1, 1), channels=(16, 32),
                                   stem_chs=16, bottle_ratio=0.5,
                                   norm_layer=group_norm()),
    "bit": lambda: timm_model(
        "resnetv2", "ResNetV2", layers=(1, 1), channels=(16, 32), stem_chs=16, stem_type="fixed",
        norm_layer=group_norm(),
        conv_layer=importlib.import_module("timm.layers").StdConv2d),
    "nfnet": lambda: timm_model(
        "nfnet", "NormFreeNet",
        cfg=importlib.import_module("timm.models.nfnet").NfCfg(
            depths=(1, 1), channels=(16, 24), stem_type="3x3", group_size=8, attn_layer="se",
            attn_kwargs=dict(rd_ratio=0.5))),
    "efficientnet": lambda: efficientnet(),
    "efficientnet_lite": lambda: efficientnet(
        blocks=[["ds_r1_k3_s1_e1_c8"], ["ir_r2_k3_s2_e2_c8"]], act_layer=torch.nn.ReLU6),
    "mobilenetv2": lambda: efficientnet(
        blocks=[["ds_r1_k3_s1_c8"], ["ir_r2_k3_s2_e4_c8"], ["ir_r1_k3_s2_e4_c12"]],
        act_layer=torch.nn.ReLU6),
    "mobilenetv3": lambda: efficientnet(
        "MobileNetV3", [["ds_r1_k3_s1_e1_c8_se0.25_nre"], ["ir_r1_k5_s2_e2_c8"], ["cn_r1_k1_s1_c24"]],
        act_layer=torch.nn.Hardswish),
    "tf_efficientnet_same": lambda: efficientnet(pad_type="same"),
    "densenet": lambda: timm_model("densenet", "DenseNet", growth_rate=4, block_config=(2, 2, 2)),
    "regnet": lambda: timm_model(
        "regnet", "RegNet", cfg=importlib.import_module("timm.models.regnet").RegNetCfg(
            depth=4, w0=8, wa=4.0, wm=2.0, group_size=4, se_ratio=0.25)),
    "vgg": lambda: vgg(),
    "convnext": lambda: timm_model("convnext", "ConvNeXt", depths=(1, 1, 1, 1),
                                   dims=(8, 12, 16, 20)),
    "convnextv2": lambda: timm_model("convnext", "ConvNeXt", depths=(1, 1, 1, 1),
                                     dims=(8, 12, 16, 20), use_grn=True, ls_init_value=None),
    "convmixer": lambda: timm_model("convmixer", "ConvMixer", dim=16, depth=2, kernel_size=5,
                                    patch_size=4),
    "vit": lambda: timm_model("vision_transformer", "VisionTransformer", **VIT),
    "vit_gap": lambda: timm_model("vision_transformer", "VisionTransformer", class_token=False,
                                  global_pool="avg", **VIT),
    "deit_distilled": lambda: timm_model("deit", "VisionTransformerDistilled", **VIT),
    "deit3": lambda: timm_model("vision_transformer", "VisionTransformer",
                                no_embed_class=True, init_values=1e-1, **VIT),
    "beit": lambda: timm_model("beit", "Beit", use_rel_pos_bias=True, use_abs_pos_emb=False,
                               init_values=0.1, **VIT),
    "eva": lambda: timm_model("eva", "Eva", swiglu_mlp=True, use_rot_pos_emb=True, **VIT),
    "cait": lambda: timm_model("cait", "Cait", depth_token_only=1, **VIT),
    "xcit": lambda: timm_model("xcit", "Xcit", cls_attn_layers=1, **VIT),
    "crossvit": lambda: timm_model(
        "crossvit", "CrossVit", img_size=32, patch_size=(8, 16), embed_dim=(8, 12),
        depth=((1, 1, 0),), num_heads=(2, 2), mlp_ratio=(2, 2, 1), img_scale=(1.0, 1.0)),
    "mixer": lambda: timm_model("mlp_mixer", "MlpMixer", img_size=32, patch_size=8, num_blocks=2,
                                embed_dim=24),
    "swin": lambda: timm_model("swin_transformer", "SwinTransformer", img_size=32, patch_size=4,
                               window_size=4, embed_dim=8, depths=(2, 1), num_heads=(2, 2),
                               mlp_ratio=2),
    "swinv2": lambda: timm_model("swin_transformer_v2", "SwinTransformerV2", img_size=32,
                                 patch_size=4, window_size=4, embed_dim=8, depths=(2, 1),
                                 num_heads=(2, 2), mlp_ratio=2),
    "mvitv2": lambda: timm_model(
        "mvitv2", "MultiScaleVit", img_size=32,
        cfg=importlib.import_module("timm.models.mvitv2").MultiScaleVitCfg(
            depths=(1, 1), embed_dim=8, mlp_ratio=2.0, use_cls_token=True, stride_q=((1, 1), (2, 2)),
            stride_kv_adaptive=(2, 2))),
    "pvt_v2": lambda: timm_model(
        "pvt_v2", "PyramidVisionTransformerV2", depths=(1, 1), embed_dims=(8, 16),
        num_heads=(1, 2), sr_ratios=(2, 1), mlp_ratios=(2, 2)),
    "poolformer": lambda: timm_model("metaformer", "MetaFormer", depths=(1, 1, 1, 1),
                                     dims=(8, 8, 12, 16), use_mlp_head=False),
    "mobilevit": lambda: timm_model(
        "byobnet", "ByobNet",
        cfg=mobilevit_config()),
    "levit": lambda: timm_model("levit", "Levit", img_size=64, embed_dim=(8, 12, 16), key_dim=4,
                                depth=(1, 1, 1), num_heads=(1, 1, 2)),
    "levit_distilled": lambda: timm_model(
        "levit", "LevitDistilled", img_size=64, embed_dim=(8, 12, 16), key_dim=4, depth=(1, 1, 1),
        num_heads=(2, 2, 2)),
    "efficientformer": lambda: timm_model(
        "efficientformer", "EfficientFormer", depths=(1, 1, 1, 1), embed_dims=(8, 8, 12, 16),
        num_vit=0),
    "repvit": lambda: timm_model("repvit", "RepVit", embed_dim=(8, 12), depth=(1, 1),
                                 distillation=True),
    "edgenext": lambda: timm_model("edgenext", "EdgeNeXt", dims=(8, 12, 16, 20),
                                   depths=(1, 1, 2, 1), global_block_counts=(0, 0, 1, 0),
                                   heads=(2, 2, 2, 2)),
    "ghostnet": lambda: timm_model("ghostnet", "GhostNet", cfgs=[
        [[3, 8, 8, 0, 1]], [[3, 16, 8, 0.25, 2]]], width=1.0),
    "inception_next": lambda: timm_model("inception_next", "MetaNeXt", depths=(1, 1, 1, 1),
                                         dims=(8, 12, 16, 24), mlp_ratios=(2, 2, 2, 2)),
    "focalnet": lambda: timm_model("focalnet", "FocalNet", embed_dim=8, depths=(1, 1)),
    "volo": lambda: timm_model("volo", "VOLO", img_size=32, layers=(1, 1), embed_dims=(8, 16),
                               num_heads=(2, 2), patch_size=8, stem_hidden_dim=8),
    "visformer": lambda: timm_model("visformer", "Visformer", img_size=64, init_channels=4,
                                    embed_dim=8, depth=(1, 1, 1), num_heads=2),
    "sknet": lambda: timm_model(
        "resnet", "ResNet",
        block=importlib.import_module("timm.models.sknet").SelectiveKernelBasic,
        layers=(1, 1, 1, 1), channels=(8, 8, 8, 8), stem_width=8,
        block_args=dict(sk_kwargs=dict(rd_ratio=0.25, rd_divisor=4, split_input=True))),
    "tnt": lambda: timm_model("tnt", "TNT", img_size=32, patch_size=8, embed_dim=16, inner_dim=4,
                              depth=1, num_heads_inner=2, num_heads_outer=2),
    "efficientvit": lambda: timm_model(
        "efficientvit_mit", "EfficientVit", widths=(8, 8, 12), depths=(1, 1, 1), head_dim=4,
        head_widths=(24, 24)),
    "gcvit": lambda: timm_model("gcvit", "GlobalContextVit", img_size=32, window_ratio=(2, 2),
                                embed_dim=8, depths=(1, 1), num_heads=(2, 2)),
    "dla": lambda: timm_model("dla", "DLA", levels=(1, 1, 1, 1, 1, 1),
                              channels=(4, 4, 8, 8, 8, 12)),
    "mlp_head": lambda: mlp_head(),
}


def group_norm():
    from timm.layers import GroupNormAct
    return functools.partial(GroupNormAct, num_groups=4)


def vgg():
    from torch import nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Linear(192, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, CLASSES))


def mlp_head():
    from torch import nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.GELU(), nn.Conv2d(8, 16, 3, stride=2, groups=2),
        nn.LeakyReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 24), nn.Tanh(),
        nn.Linear(24, CLASSES))


def mobilevit_config():
    from timm.models.byobnet import ByoBlockCfg, ByoModelCfg
    from timm.models import mobilevit  # registers its blocks
    del mobilevit
    return ByoModelCfg(
        blocks=(
            ByoBlockCfg(type="bottle", d=1, c=8, s=1, gs=1, br=2,
                        block_kwargs=dict(bottle_in=True, linear_out=True)),
            [ByoBlockCfg(type="bottle", d=1, c=16, s=2, gs=1, br=2,
                         block_kwargs=dict(bottle_in=True, linear_out=True)),
             ByoBlockCfg(type="mobilevit", d=1, c=16, s=1,
                         block_kwargs=dict(transformer_dim=16, transformer_depth=1, patch_size=2,
                                           num_heads=2))],
        ),
        stem_chs=8, stem_type="3x3", stem_pool="", downsample="", act_layer="silu")


HUGGING_FACE = {
    "vit": lambda: hugging_face("ViTConfig", "ViTForImageClassification", **HF_VIT),
    "deit": lambda: hugging_face("DeiTConfig", "DeiTForImageClassification", **HF_VIT),
    "deit_teacher": lambda: hugging_face("DeiTConfig", "DeiTForImageClassificationWithTeacher",
                                         **HF_VIT),
    "beit": lambda: hugging_face("BeitConfig", "BeitForImageClassification",
                                 use_relative_position_bias=True, **HF_VIT),
    "data2vec": lambda: hugging_face("Data2VecVisionConfig", "Data2VecVisionForImageClassification",
                                     **HF_VIT),
    "dinov2": lambda: hugging_face(
        "Dinov2Config", "Dinov2ForImageClassification", hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, mlp_ratio=2, image_size=32, patch_size=8),
    "vit_msn": lambda: hugging_face("ViTMSNConfig", "ViTMSNForImageClassification", **HF_VIT),
    "swin": lambda: hugging_face("SwinConfig", "SwinForImageClassification", image_size=32,
                                 patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2],
                                 window_size=4, mlp_ratio=2.0),
    "swinv2": lambda: hugging_face("Swinv2Config", "Swinv2ForImageClassification", image_size=32,
                                   patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2],
                                   window_size=4, mlp_ratio=2.0),
    "convnext": lambda: hugging_face("ConvNextConfig", "ConvNextForImageClassification",
                                     depths=[1, 1, 1, 1], hidden_sizes=[8, 12, 16, 20]),
    "convnextv2": lambda: hugging_face("ConvNextV2Config", "ConvNextV2ForImageClassification",
                                       depths=[1, 1, 1, 1], hidden_sizes=[8, 12, 16, 20]),
    "resnet": lambda: hugging_face("ResNetConfig", "ResNetForImageClassification",
                                   embedding_size=8, hidden_sizes=[8, 8, 12, 16],
                                   depths=[1, 1, 1, 1], layer_type="basic"),
    "regnet": lambda: hugging_face("RegNetConfig", "RegNetForImageClassification",
                                   embedding_size=8, hidden_sizes=[8, 8, 16, 16],
                                   depths=[1, 1, 1, 1], groups_width=8),
    "mobilenet_v1": lambda: hugging_face("MobileNetV1Config", "MobileNetV1ForImageClassification",
                                         depth_multiplier=0.02, min_depth=4),
    "mobilenet_v2": lambda: hugging_face("MobileNetV2Config", "MobileNetV2ForImageClassification",
                                         depth_multiplier=0.02, min_depth=4,
                                         finegrained_output=True, depth_divisible_by=2),
    "mobilevit": lambda: hugging_face(
        "MobileViTConfig", "MobileViTForImageClassification", hidden_sizes=[8, 12, 16],
        neck_hidden_sizes=[4, 4, 4, 8, 8, 8, 16], num_attention_heads=2, mlp_ratio=1.0,
        expand_ratio=1.0, image_size=64),
    "mobilevitv2": lambda: hugging_face(
        "MobileViTV2Config", "MobileViTV2ForImageClassification", width_multiplier=0.0625,
        n_attn_blocks=[1, 1, 1], base_attn_unit_dims=[64, 64, 64], image_size=64),
    "efficientnet": lambda: hugging_face(
        "EfficientNetConfig", "EfficientNetForImageClassification", width_coefficient=0.1,
        depth_coefficient=0.1, hidden_dim=24, image_size=64, num_block_repeats=[1, 1, 1],
        kernel_sizes=[3, 3, 5], in_channels=[32, 16, 24], out_channels=[16, 24, 40],
        strides=[1, 2, 2], expand_ratios=[1, 2, 2], depthwise_padding=[]),
    "levit": lambda: hugging_face(
        "LevitConfig", "LevitForImageClassification", image_size=64, hidden_sizes=[8, 12, 16],
        num_attention_heads=[2, 2, 2], depths=[1, 1, 1], key_dim=[4, 4, 4],
        attention_ratio=[2, 2, 2], mlp_ratio=[2, 2, 2]),
    "levit_teacher": lambda: hugging_face(
        "LevitConfig", "LevitForImageClassificationWithTeacher", image_size=64,
        hidden_sizes=[8, 12, 16], num_attention_heads=[2, 2, 2], depths=[1, 1, 1],
        key_dim=[4, 4, 4], attention_ratio=[2, 2, 2], mlp_ratio=[2, 2, 2]),
    "poolformer": lambda: hugging_face("PoolFormerConfig", "PoolFormerForImageClassification",
                                       hidden_sizes=[8, 8, 12, 16], depths=[1, 1, 1, 1],
                                       mlp_ratio=2.0),
    "segformer": lambda: hugging_face(
        "SegformerConfig", "SegformerForImageClassification", hidden_sizes=[4, 4, 8, 8],
        depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2],
        sr_ratios=[2, 1, 1, 1]),
    "pvt": lambda: hugging_face(
        "PvtConfig", "PvtForImageClassification", image_size=32, hidden_sizes=[8, 8, 12, 16],
        depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2]),
    "pvt_v2": lambda: hugging_face(
        "PvtV2Config", "PvtV2ForImageClassification", hidden_sizes=[4, 4, 8, 8],
        depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2]),
    "swiftformer": lambda: hugging_face(
        "SwiftFormerConfig", "SwiftFormerForImageClassification", embed_dims=[4, 4, 8, 8],
        depths=[1, 1, 1, 1], mlp_ratio=2),
    "focalnet": lambda: hugging_face(
        "FocalNetConfig", "FocalNetForImageClassification", image_size=32, embed_dim=8,
        hidden_sizes=[8, 16], depths=[1, 1], focal_levels=[2, 2], focal_windows=[3, 3]),
    "bit": lambda: hugging_face("BitConfig", "BitForImageClassification", embedding_size=8,
                                hidden_sizes=[16, 32], depths=[1, 1], num_groups=4),
    "cvt": lambda: hugging_face(
        "CvtConfig", "CvtForImageClassification", embed_dim=[8, 12, 16], num_heads=[1, 2, 2],
        depth=[1, 1, 1], mlp_ratio=[2.0, 2.0, 2.0], cls_token=[False, False, True]),
    "clip": lambda: hugging_face(
        "CLIPConfig", "CLIPForImageClassification",
        vision_config=dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                           num_attention_heads=2, image_size=32, patch_size=8),
        text_config=dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                         num_attention_heads=1)),
    "siglip": lambda: hugging_face(
        "SiglipConfig", "SiglipForImageClassification",
        vision_config=dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                           num_attention_heads=2, image_size=32, patch_size=8),
        text_config=dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                         num_attention_heads=1)),
    "hiera": lambda: hugging_face(
        "HieraConfig", "HieraForImageClassification", image_size=[32, 32], embed_dim=8,
        depths=[1, 1], num_heads=[1, 2], patch_kernel=[7, 7], patch_stride=[4, 4],
        masked_unit_size=[4, 4], query_stride=[2, 2], num_query_pool=1, mlp_ratio=2.0),
    "textnet": lambda: hugging_face(
        "TextNetConfig", "TextNetForImageClassification", image_size=[32, 32],
        stem_out_channels=8, hidden_sizes=[8, 8, 12, 12, 16],
        conv_layer_kernel_sizes=[[[3, 3]], [[3, 3]], [[3, 1]], [[1, 3]]],
        conv_layer_strides=[[1], [2], [2], [2]]),
    "ijepa": lambda: hugging_face("IJepaConfig", "IJepaForImageClassification", **HF_VIT),
}

TORCHVISION = {
    "shufflenet": lambda: shufflenet(),
    "conv_head": lambda: conv_head(),
    "resnet_silu": lambda: resnet("BasicBlock", act_layer=torch.nn.SiLU),
}


def shufflenet():
    from torchvision.models.shufflenetv2 import ShuffleNetV2
    return ShuffleNetV2([1, 1, 1], [8, 16, 16, 24, 32], num_classes=CLASSES)


def conv_head():
    """A 1x1 convolution before the global pooling, as SqueezeNet, without its last ReLU."""
    from torch import nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, CLASSES, 1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten())


def randomise(model):
    """Weights that make a wrong operator visible: random statistics, scales and offsets."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in list(model.named_parameters()) + list(model.named_buffers()):
            if not value.is_floating_point() or "relative_position" in name and value.dim() > 2:
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(0.5 + noise.abs())
            elif name.endswith("running_mean"):
                value.copy_(0.2 * noise)
            elif value.dim() <= 1:
                value.add_(0.2 * noise.reshape(value.shape))
            elif value.dim() == 2 and "weight" in name:
                value.copy_(noise / value.shape[1] ** 0.5)
            elif "token" in name or "pos" in name:
                value.copy_(0.5 * noise)
    return model.eval()
