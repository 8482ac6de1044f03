package org.example.classify

import android.Manifest
import android.graphics.Color
import android.os.Bundle
import android.view.Gravity
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.FrameLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.ImageProxy
import androidx.camera.view.CameraController
import androidx.camera.view.LifecycleCameraController
import androidx.camera.view.PreviewView
import java.util.concurrent.Executors

/** Shows what the camera sees, and the labels with the highest scores. */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor()
    private lateinit var camera: LifecycleCameraController
    private lateinit var result: TextView

    // The worker alone uses these.
    private var classifier: Classifier? = null
    private var pixels: Pixels? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        camera = LifecycleCameraController(this)
        result = TextView(this).apply {
            textSize = 20f
            setTextColor(Color.WHITE)
            setBackgroundColor(Color.argb(160, 0, 0, 0))
            setPadding(32, 32, 32, 32)
        }
        setContentView(
            FrameLayout(this).apply {
                fitsSystemWindows = true
                addView(PreviewView(context).also { it.controller = camera })
                addView(
                    result,
                    FrameLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT, Gravity.BOTTOM)
                )
            }
        )
        registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
            if (granted) start() else show("The app needs the camera. Allow it in the settings.")
        }.launch(Manifest.permission.CAMERA)
    }

    override fun onDestroy() {
        super.onDestroy()
        camera.clearImageAnalysisAnalyzer()
        worker.execute {
            classifier?.close()
            classifier = null
        }
        worker.shutdown()
    }

    private fun start() {
        worker.execute {
            try {
                val loaded = Classifier(assets)
                classifier = loaded
                pixels = Pixels(loaded.side)
            } catch (error: Exception) {
                show("The model cannot be used. ${error.message}")
            }
        }
        camera.setEnabledUseCases(CameraController.IMAGE_ANALYSIS)
        // CameraX leaves out the frames that come while the worker is busy.
        camera.setImageAnalysisAnalyzer(worker) { frame -> frame.use(::classify) }
        camera.bindToLifecycle(this)
    }

    private fun classify(frame: ImageProxy) {
        val loaded = classifier ?: return
        val image = pixels?.of(frame.toBitmap(), frame.imageInfo.rotationDegrees) ?: return
        val best = loaded.classify(image)
        show(best.joinToString("\n") { "%.2f  %s".format(it.score, it.label) })
    }

    private fun show(text: String) = runOnUiThread { result.text = text }
}
