// A TFLite file that classifies images, run by LiteRT on the processor.

#ifndef EXAMPLES_CPP_CLASSIFIER_H_
#define EXAMPLES_CPP_CLASSIFIER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "litert.h"

// Destroys an object of LiteRT at the end of its scope.
template <auto destroy>
struct Destroyer {
  template <typename Object>
  void operator()(Object* object) const {
    destroy(object);
  }
};
using Environment = std::unique_ptr<LiteRtEnvironmentT, Destroyer<LiteRtDestroyEnvironment>>;
using Model = std::unique_ptr<LiteRtModelT, Destroyer<LiteRtDestroyModel>>;
using CompiledModel = std::unique_ptr<LiteRtCompiledModelT, Destroyer<LiteRtDestroyCompiledModel>>;
using TensorBuffer = std::unique_ptr<LiteRtTensorBufferT, Destroyer<LiteRtDestroyTensorBuffer>>;

// An input or output of the file.
struct End {
  LiteRtElementType type;
  std::vector<int> shape;
  std::size_t values;
  // A number is (value - zero_point) · scale. The scale is 0 for values that are numbers already.
  float scale;
  std::int64_t zero_point;
  TensorBuffer buffer;
};

// All functions throw std::runtime_error with a sentence that says what is wrong.
class Classifier {
 public:
  // Loads a file with one uint8 input [1, height, width, channels] and one output [1, classes].
  explicit Classifier(const std::string& path);

  int height() const { return input_.shape[1]; }
  int width() const { return input_.shape[2]; }
  int channels() const { return input_.shape[3]; }
  std::size_t classes() const { return output_.values; }

  // Returns the score of each class. The pixels are height · width · channels numbers of 0 to 255,
  // row by row, with the channels of a pixel side by side.
  std::vector<float> Classify(const std::vector<std::uint8_t>& pixels);

 private:
  // The members are destroyed from the last to the first.
  std::vector<char> bytes_;
  Environment environment_;
  Model model_;
  CompiledModel compiled_;
  End input_, output_;
};

#endif  // EXAMPLES_CPP_CLASSIFIER_H_
