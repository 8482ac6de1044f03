// The part of LiteRT's C API that the example calls, as LiteRT 2.3 has it.
//
// The LiteRT package of PyPI has the library alone. LiteRT's repository and its C++ SDK also have
// the headers, in the folder litert/c. With those at hand, include them in place of this file.

#ifndef EXAMPLES_CPP_LITERT_H_
#define EXAMPLES_CPP_LITERT_H_

#include <cstddef>
#include <cstdint>

extern "C" {

struct LiteRtEnvironmentT;
struct LiteRtModelT;
struct LiteRtSignatureT;
struct LiteRtTensorT;
struct LiteRtOptionsT;
struct LiteRtCompiledModelT;
struct LiteRtTensorBufferT;

using LiteRtEnvironment = LiteRtEnvironmentT*;
using LiteRtModel = LiteRtModelT*;
using LiteRtSignature = LiteRtSignatureT*;
using LiteRtTensor = LiteRtTensorT*;
using LiteRtOptions = LiteRtOptionsT*;
using LiteRtCompiledModel = LiteRtCompiledModelT*;
using LiteRtTensorBuffer = LiteRtTensorBufferT*;

// 0 means success.
using LiteRtStatus = int;

enum LiteRtElementType : int {
  kLiteRtElementTypeFloat32 = 1,
  kLiteRtElementTypeUInt8 = 3,
  kLiteRtElementTypeInt8 = 9,
};
enum LiteRtHwAccelerators : int { kLiteRtHwAcceleratorCpu = 1 };
enum LiteRtTensorBufferType : int { kLiteRtTensorBufferTypeHostMemory = 1 };
enum LiteRtTensorBufferLockMode : int {
  kLiteRtTensorBufferLockModeRead = 0,
  kLiteRtTensorBufferLockModeWrite = 1,
};
enum LiteRtQuantizationTypeId : int { kLiteRtQuantizationPerTensor = 1 };

enum LiteRtEnvOptionTag : int {
  kLiteRtEnvOptionTagAutoRegisterAccelerators = 24,
  kLiteRtEnvOptionTagMinLoggerSeverity = 25,
};
enum LiteRtLogSeverity : int { kLiteRtLogSeverityError = 3 };
enum LiteRtAnyType : int { kLiteRtAnyTypeInt = 2 };

struct LiteRtAny {
  LiteRtAnyType type;
  std::int64_t int_value;
};
struct LiteRtEnvOption {
  LiteRtEnvOptionTag tag;
  LiteRtAny value;
};
struct LiteRtLayout {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  std::int32_t dimensions[8];
  std::uint32_t strides[8];
};
struct LiteRtRankedTensorType {
  LiteRtElementType element_type;
  LiteRtLayout layout;
};
struct LiteRtQuantizationPerTensor {
  float scale;
  std::int64_t zero_point;
};
static_assert(sizeof(LiteRtRankedTensorType) == 72 && sizeof(LiteRtEnvOption) == 24,
              "The library expects structures of these sizes.");

LiteRtStatus LiteRtCreateEnvironment(int count, const LiteRtEnvOption* options,
                                     LiteRtEnvironment* environment);
void LiteRtDestroyEnvironment(LiteRtEnvironment environment);

// The bytes have to stay as long as the model.
LiteRtStatus LiteRtCreateModelFromBuffer(LiteRtEnvironment environment, const void* bytes,
                                         std::size_t size, LiteRtModel* model);
void LiteRtDestroyModel(LiteRtModel model);

LiteRtStatus LiteRtGetModelSignature(LiteRtModel model, std::size_t index,
                                     LiteRtSignature* signature);
LiteRtStatus LiteRtGetNumSignatureInputs(LiteRtSignature signature, std::size_t* count);
LiteRtStatus LiteRtGetNumSignatureOutputs(LiteRtSignature signature, std::size_t* count);
LiteRtStatus LiteRtGetSignatureInputTensorByIndex(LiteRtSignature signature, std::size_t index,
                                                  LiteRtTensor* tensor);
LiteRtStatus LiteRtGetSignatureOutputTensorByIndex(LiteRtSignature signature, std::size_t index,
                                                   LiteRtTensor* tensor);

LiteRtStatus LiteRtGetRankedTensorType(LiteRtTensor tensor, LiteRtRankedTensorType* type);
LiteRtStatus LiteRtGetQuantizationTypeId(LiteRtTensor tensor, LiteRtQuantizationTypeId* id);
LiteRtStatus LiteRtGetPerTensorQuantization(LiteRtTensor tensor,
                                            LiteRtQuantizationPerTensor* quantization);

LiteRtStatus LiteRtCreateOptions(LiteRtOptions* options);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions options, int accelerators);
void LiteRtDestroyOptions(LiteRtOptions options);

LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment environment, LiteRtModel model,
                                       LiteRtOptions options, LiteRtCompiledModel* compiled);
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel compiled, std::size_t signature,
                                    std::size_t input_count, LiteRtTensorBuffer* inputs,
                                    std::size_t output_count, LiteRtTensorBuffer* outputs);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel compiled);

LiteRtStatus LiteRtCreateManagedTensorBuffer(LiteRtEnvironment environment,
                                             LiteRtTensorBufferType buffer_type,
                                             const LiteRtRankedTensorType* type, std::size_t size,
                                             LiteRtTensorBuffer* buffer);
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer buffer, void** memory,
                                    LiteRtTensorBufferLockMode mode);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer buffer);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer buffer);

}  // extern "C"

#endif  // EXAMPLES_CPP_LITERT_H_
