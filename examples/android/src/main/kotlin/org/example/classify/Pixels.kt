package org.example.classify

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Matrix
import android.graphics.Paint
import kotlin.math.min

/** Turns frames of a camera into the pixels that a model takes. */
class Pixels(private val side: Int) {
    private val square = Bitmap.createBitmap(side, side, Bitmap.Config.ARGB_8888)
    private val canvas = Canvas(square)
    private val paint = Paint(Paint.FILTER_BITMAP_FLAG)
    private val colors = IntArray(side * side)
    private val bytes = ByteArray(3 * side * side)

    /**
     * Returns the square in the middle of a frame, upright and in the size of the model.
     *
     * @param frame the frame as the sensor sees it
     * @param rotation the degrees by which the frame has to turn clockwise to be upright
     * @return side · side · 3 bytes, row by row, with red, green and blue side by side. The array
     *     is the same for each call.
     */
    fun of(frame: Bitmap, rotation: Int): ByteArray {
        val scale = side.toFloat() / min(frame.width, frame.height)
        val upright = Matrix().apply {
            postTranslate(-frame.width / 2f, -frame.height / 2f)
            postRotate(rotation.toFloat())
            postScale(scale, scale)
            postTranslate(side / 2f, side / 2f)
        }
        canvas.drawBitmap(frame, upright, paint)
        square.getPixels(colors, 0, side, 0, 0, side, side)
        colors.forEachIndexed { place, color ->
            bytes[3 * place] = (color shr 16).toByte()
            bytes[3 * place + 1] = (color shr 8).toByte()
            bytes[3 * place + 2] = color.toByte()
        }
        return bytes
    }
}
