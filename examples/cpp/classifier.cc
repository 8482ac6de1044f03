#include "classifier.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

constexpr std::size_t kFirstSignature = 0;

void Check(LiteRtStatus status, const std::string& what) {
  if (status != 0) {
    throw std::runtime_error(what + " (LiteRT's status " + std::to_string(status) + ").");
  }
}

std::size_t BytesOf(LiteRtElementType type) {
  return type == kLiteRtElementTypeFloat32 ? sizeof(float) : 1;
}

End MakeEnd(LiteRtEnvironment environment, LiteRtTensor tensor) {
  LiteRtRankedTensorType type;
  Check(LiteRtGetRankedTensorType(tensor, &type), "An input or output has no fixed shape");
  End end{type.element_type, {}, 1, 0.0f, 0, nullptr};
  for (unsigned axis = 0; axis < type.layout.rank; ++axis) {
    end.shape.push_back(type.layout.dimensions[axis]);
    end.values *= static_cast<std::size_t>(type.layout.dimensions[axis]);
  }
  LiteRtQuantizationTypeId kind;
  Check(LiteRtGetQuantizationTypeId(tensor, &kind), "The quantization cannot be read");
  if (kind == kLiteRtQuantizationPerTensor) {
    LiteRtQuantizationPerTensor quantization;
    Check(LiteRtGetPerTensorQuantization(tensor, &quantization), "The scale cannot be read");
    end.scale = quantization.scale;
    end.zero_point = quantization.zero_point;
  }
  LiteRtTensorBuffer buffer;
  Check(LiteRtCreateManagedTensorBuffer(environment, kLiteRtTensorBufferTypeHostMemory, &type,
                                        end.values * BytesOf(end.type), &buffer),
        "There is no memory for an input or output");
  end.buffer.reset(buffer);
  return end;
}

// Returns the value of the input that stands for each byte of an image. If the network was
// calibrated on images with black and white pixels, these are the bytes themselves.
std::array<std::uint8_t, 256> InputValues(const End& input) {
  std::array<std::uint8_t, 256> values;
  for (int byte = 0; byte < 256; ++byte) {
    const float value = std::nearbyint(byte / input.scale) + static_cast<float>(input.zero_point);
    values[byte] = static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f));
  }
  return values;
}

float Score(const End& output, const void* memory, std::size_t index) {
  switch (output.type) {
    case kLiteRtElementTypeFloat32:
      return static_cast<const float*>(memory)[index];
    case kLiteRtElementTypeUInt8:
      return (static_cast<const std::uint8_t*>(memory)[index] - output.zero_point) * output.scale;
    default:
      return (static_cast<const std::int8_t*>(memory)[index] - output.zero_point) * output.scale;
  }
}

}  // namespace

Classifier::Classifier(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  bytes_.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (file.fail() || bytes_.empty()) {
    throw std::runtime_error("The model " + path + " cannot be read, or is empty.");
  }
  const LiteRtEnvOption settings[] = {
      {kLiteRtEnvOptionTagAutoRegisterAccelerators, {kLiteRtAnyTypeInt, kLiteRtHwAcceleratorCpu}},
      {kLiteRtEnvOptionTagMinLoggerSeverity, {kLiteRtAnyTypeInt, kLiteRtLogSeverityError}},
  };
  LiteRtEnvironment environment;
  Check(LiteRtCreateEnvironment(2, settings, &environment), "LiteRT does not start");
  environment_.reset(environment);
  // LiteRT checks that the bytes are a whole file. It would not check a file that it opens itself.
  LiteRtModel model;
  Check(LiteRtCreateModelFromBuffer(environment, bytes_.data(), bytes_.size(), &model),
        "The file " + path + " is no whole TFLite file");
  model_.reset(model);

  LiteRtSignature signature;
  Check(LiteRtGetModelSignature(model, kFirstSignature, &signature), "The file has no signature");
  std::size_t inputs, outputs;
  Check(LiteRtGetNumSignatureInputs(signature, &inputs), "The inputs cannot be counted");
  Check(LiteRtGetNumSignatureOutputs(signature, &outputs), "The outputs cannot be counted");
  if (inputs != 1 || outputs != 1) {
    throw std::runtime_error("The model needs one input and one output, but it has " +
                             std::to_string(inputs) + " and " + std::to_string(outputs) + ".");
  }
  LiteRtTensor tensor;
  Check(LiteRtGetSignatureInputTensorByIndex(signature, 0, &tensor), "There is no input");
  input_ = MakeEnd(environment, tensor);
  Check(LiteRtGetSignatureOutputTensorByIndex(signature, 0, &tensor), "There is no output");
  output_ = MakeEnd(environment, tensor);
  if (input_.type != kLiteRtElementTypeUInt8 || input_.shape.size() != 4 || input_.shape[0] != 1 ||
      !(input_.scale > 0)) {
    throw std::runtime_error(
        "The model needs one uint8 image as its input: convert it with "
        "inference_input_type=tf.uint8.");
  }
  const bool has_scores = output_.type == kLiteRtElementTypeFloat32 ||
                          output_.type == kLiteRtElementTypeUInt8 ||
                          output_.type == kLiteRtElementTypeInt8;
  if (output_.shape.size() != 2 || !has_scores) {
    throw std::runtime_error("The model needs an output [1, classes] of float32, uint8 or int8.");
  }

  LiteRtOptions options;
  Check(LiteRtCreateOptions(&options), "LiteRT has no options");
  std::unique_ptr<LiteRtOptionsT, Destroyer<LiteRtDestroyOptions>> owned(options);
  Check(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu),
        "LiteRT does not run on the processor");
  LiteRtCompiledModel compiled;
  Check(LiteRtCreateCompiledModel(environment, model, options, &compiled),
        "LiteRT cannot run the model " + path);
  compiled_.reset(compiled);
}

std::vector<float> Classifier::Classify(const std::vector<std::uint8_t>& pixels) {
  if (pixels.size() != input_.values) {
    throw std::runtime_error("The image has " + std::to_string(pixels.size()) +
                             " bytes, but the model takes " + std::to_string(input_.values) + ".");
  }
  const auto values = InputValues(input_);
  LiteRtTensorBuffer input = input_.buffer.get(), output = output_.buffer.get();
  void* memory;
  Check(LiteRtLockTensorBuffer(input, &memory, kLiteRtTensorBufferLockModeWrite),
        "The input cannot be written");
  std::transform(pixels.begin(), pixels.end(), static_cast<std::uint8_t*>(memory),
                 [&values](std::uint8_t byte) { return values[byte]; });
  Check(LiteRtUnlockTensorBuffer(input), "The input cannot be written");
  Check(LiteRtRunCompiledModel(compiled_.get(), kFirstSignature, 1, &input, 1, &output),
        "The model does not run");
  Check(LiteRtLockTensorBuffer(output, &memory, kLiteRtTensorBufferLockModeRead),
        "The output cannot be read");
  std::vector<float> scores(classes());
  for (std::size_t index = 0; index < scores.size(); ++index) {
    scores[index] = Score(output_, memory, index);
  }
  Check(LiteRtUnlockTensorBuffer(output), "The output cannot be read");
  return scores;
}
