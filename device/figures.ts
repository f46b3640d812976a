/**
 * The pictures beside the words: one a screen, told apart by shape alone. Drawn as paths into a square, solid ink,
 * for panels of one bit. None of them has the look of a code.
 */
import type { CanvasRenderingContext2D } from 'canvas'

export type Figure = 'tick' | 'cross' | 'clock' | 'dots' | 'keypad' | 'bang' | 'bar' | 'broken link' | 'return' | 'phone'

/** Draws into the square whose upper left corner is (x, y). Ink is whatever the context fills with. */
export function drawFigure(context: CanvasRenderingContext2D, figure: Figure, x: number, y: number, sidePx: number): void {
  context.save()
  context.translate(x, y)
  context.scale(sidePx / 100, sidePx / 100)
  context.lineCap = 'round'
  context.lineJoin = 'round'
  switch (figure) {
    case 'tick':        onDisc(context, () => { stroke(context, 12, [[28, 52], [44, 68], [73, 35]]) }); break
    case 'cross':       onDisc(context, () => { stroke(context, 12, [[34, 34], [66, 66]]); stroke(context, 12, [[66, 34], [34, 66]]) }); break
    case 'bar':         onDisc(context, () => { context.fillRect(20, 42, 60, 16) }); break
    case 'bang':        onTriangle(context); break
    case 'dots':        onDisc(context, () => { for (const x of [26, 50, 74]) disc(context, x, 50, 8) }); break
    case 'clock':       clock(context); break
    case 'keypad':      keypad(context); break
    case 'broken link': brokenLink(context); break
    case 'phone':       phone(context); break
    case 'return':      onDisc(context, () => { turnBack(context) }); break
  }
  context.restore()
}

function onDisc(context: CanvasRenderingContext2D, cutOut: () => void): void {
  disc(context, 50, 50, 48)
  cut(context, cutOut)
}

function onTriangle(context: CanvasRenderingContext2D): void {
  stroke(context, 10, [[50, 12], [93, 87], [7, 87], [50, 12]])
  context.beginPath()
  context.moveTo(50, 12); context.lineTo(93, 87); context.lineTo(7, 87)
  context.closePath()
  context.fill()
  cut(context, () => { stroke(context, 10, [[50, 38], [50, 58]]); disc(context, 50, 75, 6) })
}

function clock(context: CanvasRenderingContext2D): void {
  disc(context, 50, 50, 48)
  cut(context, () => { disc(context, 50, 50, 38) })
  stroke(context, 8, [[50, 28], [50, 51], [66, 61]])
}

function keypad(context: CanvasRenderingContext2D): void {
  for (const y of [2, 27, 52, 77]) {
    for (const x of [10, 40, 70]) disc(context, x + 10, y + 10, 9)
  }
}

function phone(context: CanvasRenderingContext2D): void {
  stroke(context, 16, [[28, 10], [72, 10], [72, 90], [28, 90], [28, 10]])
  context.fillRect(28, 76, 44, 14)
  cut(context, () => { disc(context, 50, 83, 5) })
}

/** Three arcs of a signal over a dot, struck through. */
function brokenLink(context: CanvasRenderingContext2D): void {
  context.lineWidth = 9
  for (const radius of [24, 44, 64]) {
    context.beginPath()
    context.arc(50, 80, radius, 1.25 * Math.PI, 1.75 * Math.PI)
    context.stroke()
  }
  disc(context, 50, 80, 8)
  cut(context, () => { stroke(context, 22, [[18, 88], [82, 12]]) })
  stroke(context, 9, [[18, 88], [82, 12]])
}

/** An arrow that came in and goes back out on the same side. */
function turnBack(context: CanvasRenderingContext2D): void {
  context.lineWidth = 10
  context.beginPath()
  context.moveTo(38, 68)
  context.lineTo(60, 68)
  context.arc(60, 54, 14, 0.5 * Math.PI, -0.5 * Math.PI, true)
  context.lineTo(30, 40)
  context.stroke()
  stroke(context, 10, [[43, 26], [29, 40], [43, 54]])
}

function disc(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  context.fill()
}

function stroke(context: CanvasRenderingContext2D, width: number, points: readonly (readonly [number, number])[]): void {
  context.lineWidth = width
  context.beginPath()
  points.forEach(([x, y], i) => { if (i === 0) context.moveTo(x, y); else context.lineTo(x, y) })
  context.stroke()
}

/** Takes ink away where `draw` would put it. */
function cut(context: CanvasRenderingContext2D, draw: () => void): void {
  context.globalCompositeOperation = 'destination-out'
  draw()
  context.globalCompositeOperation = 'source-over'
}
