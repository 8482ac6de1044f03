// Classifies an image:  classify model.tflite labels.txt image.ppm [number of labels]
//
// The image is a binary PPM or PGM file of the size that the model takes, or its bytes alone.

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "classifier.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes ReadFile(const std::string& path, const std::string& what) {
  std::ifstream file(path, std::ios::binary);
  Bytes bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.fail() || bytes.empty()) {
    throw std::runtime_error("The " + what + " " + path + " cannot be read, or is empty.");
  }
  return bytes;
}

std::vector<std::string> ReadLabels(const std::string& path) {
  const Bytes bytes = ReadFile(path, "file of labels");
  std::vector<std::string> labels(1);
  for (const std::uint8_t byte : bytes) {
    if (byte == '\n') {
      labels.emplace_back();
    } else if (byte != '\r') {
      labels.back().push_back(static_cast<char>(byte));
    }
  }
  if (labels.back().empty()) labels.pop_back();
  return labels;
}

// Reads the header of a PNM file and returns the place of its first pixel.
class Header {
 public:
  explicit Header(const Bytes& bytes) : bytes_(bytes) {}

  // Reads a number behind white space and comments.
  int Number() {
    while (place_ < bytes_.size() && (std::isspace(bytes_[place_]) || bytes_[place_] == '#')) {
      if (bytes_[place_] == '#') {
        while (place_ < bytes_.size() && bytes_[place_] != '\n') ++place_;
      } else {
        ++place_;
      }
    }
    int number = 0;
    while (place_ < bytes_.size() && std::isdigit(bytes_[place_]) && number < 1'000'000) {
      number = 10 * number + (bytes_[place_++] - '0');
    }
    return number;
  }

  // One byte of white space is between the header and the pixels.
  std::size_t FirstPixel() const { return std::min(place_ + 1, bytes_.size()); }

 private:
  const Bytes& bytes_;
  std::size_t place_ = 2;  // The two letters that name the format come first.
};

Bytes ReadImage(const std::string& path, int height, int width, int channels) {
  const Bytes bytes = ReadFile(path, "image");
  const std::size_t size = std::size_t(height) * width * channels;
  if (bytes.size() == size) return bytes;
  const std::string wanted = std::to_string(width) + "x" + std::to_string(height) + " pixels of " +
                             std::to_string(channels) + " bytes";
  const std::string format(bytes.begin(), bytes.begin() + std::min<std::size_t>(2, bytes.size()));
  if (format != (channels == 3 ? "P6" : "P5")) {
    throw std::runtime_error("The image " + path + " needs to be a binary PPM or PGM file, or " +
                             wanted + ", which the model takes.");
  }
  Header header(bytes);
  const int columns = header.Number(), rows = header.Number(), brightest = header.Number();
  if (columns != width || rows != height || brightest != 255) {
    throw std::runtime_error("The image " + path + " has " + std::to_string(columns) + "x" +
                             std::to_string(rows) + " pixels of 0 to " +
                             std::to_string(brightest) + ", but the model takes " + wanted +
                             " of 0 to 255.");
  }
  const auto first = bytes.begin() + header.FirstPixel();
  if (std::size_t(bytes.end() - first) < size) {
    throw std::runtime_error("The image " + path + " ends before its last pixel.");
  }
  return Bytes(first, first + size);
}

int LabelCount(const std::string& argument) {
  if (argument.empty() || argument.size() > 4 ||
      !std::all_of(argument.begin(), argument.end(), [](unsigned char c) { return isdigit(c); })) {
    throw std::runtime_error("The number of labels needs to be 0 to 9999, not " + argument + ".");
  }
  return std::stoi(argument);
}

void Run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3 || arguments.size() > 4) {
    throw std::runtime_error("Call: classify model.tflite labels.txt image.ppm [number of labels]");
  }
  const std::size_t most = arguments.size() > 3 ? LabelCount(arguments[3]) : 3;
  Classifier classifier(arguments[0]);
  const std::vector<std::string> labels = ReadLabels(arguments[1]);
  if (labels.size() != classifier.classes()) {
    throw std::runtime_error("The file " + arguments[1] + " has " + std::to_string(labels.size()) +
                             " labels, but the model has " +
                             std::to_string(classifier.classes()) + " classes.");
  }
  const std::vector<float> scores = classifier.Classify(ReadImage(
      arguments[2], classifier.height(), classifier.width(), classifier.channels()));
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&scores](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(most, order.size()));
  for (const std::size_t place : order) {
    std::printf("%9.6f  %s\n", scores[place], labels[place].c_str());
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    Run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
