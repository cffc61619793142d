"""Full-size classifiers, by name: what tests/zoo/full.py exports.

An entry has `build`, which makes the module, `size`, the pixels of a side, and what `export` in
full.py needs to know.
"""

import functools

import torch

TIMM = """
beit_base_patch16_224 botnet26t_256 eca_halonext26ts lambda_resnet26rpt_256 regnetz_b16 repvgg_a0
mobileone_s0 cait_xxs24_224 coat_lite_tiny coat_tiny convit_tiny convmixer_1024_20_ks9_p14
convnext_atto convnext_tiny convnextv2_atto crossvit_9_240 cspdarknet53 cspresnet50 davit_tiny
deit_tiny_patch16_224 deit_tiny_distilled_patch16_224 deit3_small_patch16_224 densenet121 dla34
dpn68 edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientnet_b0 efficientnet_lite0
tf_efficientnet_b0 tf_efficientnetv2_b0 mixnet_s mnasnet_100 mobilenetv2_100
mobilenetv4_conv_small mobilenetv4_hybrid_medium tinynet_e fbnetc_100 efficientvit_b0
efficientvit_m0 eva02_tiny_patch14_224 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny ghostnet_100
ghostnetv2_100 hardcorenas_a hgnetv2_b0 hiera_tiny_224 hrnet_w18_small inception_next_atto
inception_resnet_v2 inception_v3 inception_v4 levit_128s levit_conv_128s mambaout_femto
coatnet_nano_rw_224 maxvit_nano_rw_256 maxxvit_rmlp_nano_rw_256 poolformer_s12 poolformerv2_s12
caformer_s18 convformer_s18 mixer_s32_224 gmlp_ti16_224 resmlp_12_224 gmixer_24_224
mobilenetv3_small_100 mobilenetv3_large_100 lcnet_050 fbnetv3_b mobilevit_xxs mobilevitv2_050
mvitv2_tiny nest_tiny nextvit_small nfnet_l0 dm_nfnet_f0 eca_nfnet_l0 nf_resnet50 pit_ti_224
pit_ti_distilled_224 pvt_v2_b0 rdnet_tiny regnetx_002 regnety_002 repghostnet_050 repvit_m0_9
res2net50_26w_4s resnest14d resnet18 resnet26d resnet50 ecaresnet26t seresnet50 resnext50_32x4d
resnetblur50 resnetrs50 skresnet18 resnetv2_50 resnetv2_50x1_bit resnetaa50 resnet10t rexnet_100
selecsls42 legacy_seresnet18 sequencer2d_s swin_tiny_patch4_window7_224 swin_s3_tiny_224
swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_patch16_224 tresnet_m
twins_pcpvt_small twins_svt_small vgg11 visformer_tiny vit_tiny_patch16_224
vit_small_patch32_224 vit_tiny_r_s16_p8_224 vit_relpos_small_patch16_224 vit_srelpos_small_patch16_224
vit_base_patch32_clip_224 vit_medium_patch16_gap_240 vitamin_small_224 volo_d1_224
ese_vovnet19b_dw xception41 legacy_xception xcit_nano_12_p16_224 flexivit_small
nasnetalarge
""".split()

TORCHVISION = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t
mnasnet0_5 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large regnet_x_400mf regnet_y_400mf resnet18
resnet50 resnext50_32x4d shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 swin_t swin_v2_t
vit_b_32 wide_resnet50_2
""".split()

# Kind: (configuration, class, settings where the default isn't a published size).
HUGGING_FACE = {
    "vit": ("ViTConfig", "ViTForImageClassification", {}),
    "deit": ("DeiTConfig", "DeiTForImageClassification",
             dict(hidden_size=192, num_attention_heads=3, intermediate_size=768)),
    "deit_teacher": ("DeiTConfig", "DeiTForImageClassificationWithTeacher",
                     dict(hidden_size=192, num_attention_heads=3, intermediate_size=768)),
    "beit": ("BeitConfig", "BeitForImageClassification",
             dict(use_relative_position_bias=True, use_absolute_position_embeddings=False)),
    "data2vec_vision": ("Data2VecVisionConfig", "Data2VecVisionForImageClassification",
                        dict(use_relative_position_bias=True)),
    "dinov2": ("Dinov2Config", "Dinov2ForImageClassification",
               dict(hidden_size=384, num_attention_heads=6)),
    "dinov2_with_registers": ("Dinov2WithRegistersConfig",
                              "Dinov2WithRegistersForImageClassification",
                              dict(hidden_size=384, num_attention_heads=6)),
    "vit_msn": ("ViTMSNConfig", "ViTMSNForImageClassification",
                dict(hidden_size=384, num_attention_heads=6, intermediate_size=1536)),
    "swin": ("SwinConfig", "SwinForImageClassification", {}),
    "swinv2": ("Swinv2Config", "Swinv2ForImageClassification", dict(image_size=256, window_size=8)),
    "convnext": ("ConvNextConfig", "ConvNextForImageClassification", {}),
    "convnextv2": ("ConvNextV2Config", "ConvNextV2ForImageClassification", {}),
    "resnet": ("ResNetConfig", "ResNetForImageClassification", {}),
    "regnet": ("RegNetConfig", "RegNetForImageClassification",
               dict(hidden_sizes=[48, 104, 208, 440], depths=[2, 2, 7, 1], groups_width=8)),
    "mobilenet_v1": ("MobileNetV1Config", "MobileNetV1ForImageClassification", {}),
    "mobilenet_v2": ("MobileNetV2Config", "MobileNetV2ForImageClassification", {}),
    "mobilevit": ("MobileViTConfig", "MobileViTForImageClassification", {}),
    "mobilevitv2": ("MobileViTV2Config", "MobileViTV2ForImageClassification", {}),
    "efficientnet": ("EfficientNetConfig", "EfficientNetForImageClassification",
                     dict(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280,
                          image_size=224)),
    "levit": ("LevitConfig", "LevitForImageClassification", {}),
    "levit_teacher": ("LevitConfig", "LevitForImageClassificationWithTeacher", {}),
    "poolformer": ("PoolFormerConfig", "PoolFormerForImageClassification", {}),
    "segformer": ("SegformerConfig", "SegformerForImageClassification", {}),
    "pvt": ("PvtConfig", "PvtForImageClassification", {}),
    "pvt_v2": ("PvtV2Config", "PvtV2ForImageClassification", {}),
    "swiftformer": ("SwiftFormerConfig", "SwiftFormerForImageClassification", {}),
    "focalnet": ("FocalNetConfig", "FocalNetForImageClassification", {}),
    "bit": ("BitConfig", "BitForImageClassification", {}),
    "cvt": ("CvtConfig", "CvtForImageClassification", {}),
    "clip": ("CLIPConfig", "CLIPForImageClassification", {}),
    "siglip": ("SiglipConfig", "SiglipForImageClassification", {}),
    "hiera": ("HieraConfig", "HieraForImageClassification", {}),
    "textnet": ("TextNetConfig", "TextNetForImageClassification", {}),
    "ijepa": ("IJepaConfig", "IJepaForImageClassification",
              dict(hidden_size=384, num_attention_heads=6, intermediate_size=1536)),
}

# Kinds with operators (Col2Im) that the exporter's default doesn't have.
OPSETS = {"mobilevitv2": dict(opset=18, dynamo=True),
          "dinov2_with_registers": dict(opset=18, dynamo=True),
          "volo_d1_224": dict(opset=18), "eca_halonext26ts": dict(opset=18, dynamo=True)}

KERAS = """
MobileNet MobileNetV2 MobileNetV3Small EfficientNetB0 ResNet50V2 DenseNet121 Xception ConvNeXtTiny
""".split()


def timm_model(name):
    import timm
    return timm.create_model(name, num_classes=1000)


def unfused_timm_model(name):
    """For operator sets that lack what fused attention needs."""
    from timm.layers import set_fused_attn
    set_fused_attn(False)
    try:
        return timm_model(name)
    finally:
        set_fused_attn(True)


def torchvision_model(name):
    import torchvision
    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, **settings)


def hugging_face(kind):
    import transformers
    config, cls, settings = HUGGING_FACE[kind]
    config = getattr(transformers, config)(num_labels=1000, **settings)
    return getattr(transformers, cls)(config)


def timm_size(name):
    import timm
    config = timm.get_pretrained_cfg(name)
    return (config.input_size if config else (3, 224, 224))[-1]


def hugging_face_size(kind):
    import transformers
    config, _, settings = HUGGING_FACE[kind]
    config = getattr(transformers, config)(**settings)
    size = getattr(getattr(config, "vision_config", config), "image_size", 224)
    size = size[0] if isinstance(size, (list, tuple)) else size
    # Larger only costs time; these take any size.
    return 224 if size is None or kind in ("textnet", "dinov2", "dinov2_with_registers") else size


def torchvision_size(name):
    return {"inception_v3": 299, "swin_v2_t": 256}.get(name, 224)


def entries():
    """(name, what it is)."""
    kinds = (("hf", HUGGING_FACE, hugging_face, hugging_face_size, dict(opset=14, dynamic="all")),
             ("tv", TORCHVISION, torchvision_model, torchvision_size, dict(opset=17)),
             ("timm", TIMM, timm_model, timm_size, dict(opset=17)))
    for prefix, names, build, size, settings in kinds:
        for name in names:
            yield f"{prefix}_{name}", dict(build=functools.partial(build, name), kind=name,
                                           size=functools.partial(size, name),
                                           **settings | OPSETS.get(name, {}))
    for opset in (9, 11, 13, 16, 18, 20):
        for name in ("resnet18", "mobilenetv3_small_100", "vit_tiny_patch16_224", "convnext_atto",
                     "efficientnet_b0"):
            if opset < 11 and not name.startswith("resnet"):
                continue
            build = timm_model if opset >= 14 else unfused_timm_model
            yield f"timm_{name}_opset{opset}", dict(
                build=functools.partial(build, name), kind=name,
                size=functools.partial(timm_size, name), opset=opset)
    for name in ("resnet18", "vit_tiny_patch16_224", "convnext_atto", "mobilenetv3_small_100"):
        yield f"timm_{name}_dynamo18", dict(
            build=functools.partial(timm_model, name), kind=name,
            size=functools.partial(timm_size, name), opset=18, dynamo=True)
    for name in KERAS:
        yield f"keras_{name}", dict(keras=name, size=lambda: 224, kind=name, opset=15)


# Float32 models that are also measured in other precisions; `None` stands for all.
INT8 = ["qdq_u8s8", "qdq_s8s8_channel", "qdq_u8u8", "qop_u8s8", "qop_u8u8_channel", "dynamic_u8"]
PRECISIONS = {
    "timm_resnet18": None, "timm_mobilenetv2_100": None, "timm_vit_tiny_patch16_224": None,
    "timm_mobilenetv3_small_100": None, "hf_deit": None, "timm_convnext_atto": None,
    "timm_efficientnet_b0": ["fp16", *INT8], "tv_shufflenet_v2_x1_0": ["fp16", *INT8],
    "timm_densenet121": ["fp16", "bf16", *INT8], "hf_swin": ["fp16", "qdq_u8s8", "dynamic_u8"],
    "hf_mobilevit": ["fp16", "qdq_u8s8", "dynamic_u8"], "timm_regnety_002": ["fp16", *INT8],
    "timm_resnet50": ["fp16", *INT8], "hf_levit": ["fp16", "dynamic_u8"],
    "hf_beit": ["fp16", "dynamic_u8"], "timm_mixer_s32_224": ["fp16", "qdq_u8s8", "dynamic_u8"],
    "hf_convnextv2": ["fp16"], "timm_gcvit_xxtiny": ["fp16"], "timm_xcit_nano_12_p16_224": ["fp16"],
    "hf_resnet": ["fp16", "qdq_u8s8"], "tv_squeezenet1_1": ["fp16", "qdq_u8s8"],
}


def randomise(model):
    """Weights as large as trained ones, and statistics, scales and offsets that differ, so that a
    wrong operator shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in list(model.named_parameters()) + list(model.named_buffers()):
            if not value.is_floating_point() or "relative_position" in name and value.dim() > 2:
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(1 + 0.2 * noise.abs())
            elif name.endswith("running_mean"):
                value.copy_(0.1 * noise)
            elif value.dim() <= 1 and value.numel() > 1:
                if value.abs().max() < 0.05 and "bias" not in name:
                    value.fill_(0.1)  # A layer scale that hides its block.
                value.add_(0.1 * value.abs().mean().clamp(min=0.1) * noise.reshape(value.shape))
            elif value.dim() == 2 and "weight" in name:
                value.copy_(noise / value.shape[1] ** 0.5)
            elif "token" in name or "pos" in name:
                value.copy_(0.2 * noise)
    return model.eval()


def settle(model, images):
    """Takes the statistics of BatchNorm from images, as training does: without, values grow from
    layer to layer, up to 1e14 where a network adds up branches."""
    norms = [module for module in model.modules()
             if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = None  # The mean of all that it sees.
        norm.reset_running_stats()
    with torch.no_grad():
        if norms:
            model(torch.from_numpy(images))
    for norm in norms:
        # Averages over positions hardly differ between such images; dividing by that would blow up
        # differences in rounding.
        norm.running_var.clamp_(min=0.1 * norm.running_mean.square().mean().item())
    return model.eval()
