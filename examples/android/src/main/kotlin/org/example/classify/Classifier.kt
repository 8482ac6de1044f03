package org.example.classify

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import kotlin.math.roundToInt
import kotlin.math.sqrt

/** The assets. A name that ends with .tflite would be stored without compression. */
private const val MODEL = "model.lite"
private const val LABELS = "labels.txt"

/** The number of bytes of a pixel: red, green and blue. */
private const val CHANNELS = 3

/** A class with its score. */
data class Prediction(val label: String, val score: Float)

/**
 * A TFLite file that classifies images, run by LiteRT on the processor.
 *
 * The file has one uint8 input [1, side, side, 3] and one float32 output [1, classes].
 *
 * @throws IllegalStateException if the file has another form, or does not fit the labels
 * @throws com.google.ai.edge.litert.LiteRtException if LiteRT cannot run the file
 * @throws java.io.IOException if there are no labels
 */
class Classifier(assets: AssetManager) : AutoCloseable {
    private val labels = assets.open(LABELS).bufferedReader().useLines { it.toList() }
    private val model = CompiledModel.create(assets, MODEL, CompiledModel.Options(Accelerator.CPU))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    /** The number of rows and of columns of an image. */
    val side: Int

    init {
        check(inputs.size == 1 && outputs.size == 1) {
            "$MODEL needs one input and one output, but has ${inputs.size} and ${outputs.size}."
        }
        val values = inputs[0].readInt8().size
        side = sqrt(values / CHANNELS.toDouble()).roundToInt()
        check(CHANNELS * side * side == values) {
            "$MODEL needs square images of $CHANNELS channels as its input, but takes $values bytes."
        }
        val classes = outputs[0].readFloat().size
        check(labels.size == classes) {
            "$LABELS has ${labels.size} labels, but $MODEL has $classes classes."
        }
    }

    /**
     * Returns the classes with the highest scores, the highest first.
     *
     * @param pixels side · side · 3 bytes, row by row, with red, green and blue side by side
     * @param count how many classes to return
     */
    fun classify(pixels: ByteArray, count: Int = 3): List<Prediction> {
        require(pixels.size == CHANNELS * side * side) {
            "The image has ${pixels.size} bytes, but $MODEL takes ${CHANNELS * side * side}."
        }
        // The bytes go into the file as they are: its input counts from 0 to 255, too.
        inputs[0].writeInt8(pixels)
        model.run(inputs, outputs)
        return labels.zip(outputs[0].readFloat().asIterable(), ::Prediction)
            .sortedByDescending { it.score }
            .take(count)
    }

    override fun close() {
        inputs.forEach { it.close() }
        outputs.forEach { it.close() }
        model.close()
    }
}
