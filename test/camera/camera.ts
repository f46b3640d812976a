/**
 * A customer's telephone in front of a panel, as a picture in shades of grey. Geometry first (1080 lines of preview over
 * about 50 degrees, held by hand: turned, tilted, off the middle), then light: a dark bezel right up to the first dot, the
 * room's gradient, what is left of the last picture, then blur of the lens and noise of the sensor. Same chance, same picture.
 */
import { type Frame, strideBytes } from '../../drivers/driver.js'

export interface Shot {
  readonly distanceMm: number
  /** In the plane of the panel. */
  readonly turnDegrees: number
  /** Of the panel away from the camera, around an axis in its plane. */
  readonly tiltDegrees: number
  readonly axisDegrees: number
  /** Where in a dot's neighbourhood the picture's grid falls. */
  readonly shiftMm: readonly [number, number]
  /** Standard deviation of lens and focus, in camera pixels. */
  readonly blurPx: number
  /** Standard deviation of the sensor, in shades of 256. */
  readonly noise: number
  readonly white: number
  readonly black: number
  readonly bezel: number
  /** How much brighter one side is than the other, as a share. */
  readonly gradient: number
  /** What an earlier picture left behind: so much of the contrast. */
  readonly ghost?: { readonly frame: Frame; readonly share: number }
}

/** Shades of grey, row by row from the top. */
export interface Picture {
  readonly widthPx: number
  readonly heightPx: number
  readonly shades: Uint8Array
}

/** Pixels of a 1080-line preview with about 50 degrees over its short side: 7.7 a millimetre at 15 cm. */
export const FOCAL_PX = 540 / Math.tan(25 * Math.PI / 180)
const PREVIEW_PX = { long: 1920, short: 1080 }

const BEZEL_MM = 7
const ROOM_MM = 5
const ROOM = 125

/** A hand at that distance: every number anew, within what a tidy shop does to it. */
export function handheld(distanceMm: number, chance: () => number, earlier?: Frame): Shot {
  const between = (low: number, high: number): number => low + (high - low) * chance()
  return {
    distanceMm, turnDegrees: between(-15, 15), tiltDegrees: between(0, 20), axisDegrees: between(0, 360),
    shiftMm: [between(-1, 1), between(-1, 1)], blurPx: between(0.5, 0.9), noise: between(4, 9),
    white: between(165, 215), black: between(40, 75), bezel: between(10, 45), gradient: between(0, 0.2),
    ...(earlier === undefined ? {} : { ghost: { frame: earlier, share: between(0, 0.15) } }),
  }
}

export function photograph(frame: Frame, pitchMm: number, shot: Shot, chance: () => number): Picture {
  const sharp = project(frame, pitchMm, shot)
  return expose(blur(sharp, shot.blurPx), shot, chance)
}

type Vector = readonly [number, number, number]

interface Light {
  readonly widthPx: number
  readonly heightPx: number
  readonly values: Float32Array
}

const SAMPLES = 3 // A side of a camera pixel: edges of dots fall anywhere in it.

function project(frame: Frame, pitchMm: number, shot: Shot): Light {
  const { right, down } = axes(shot)
  const away: Vector = [
    right[1] * down[2] - right[2] * down[1], right[2] * down[0] - right[0] * down[2], right[0] * down[1] - right[1] * down[0],
  ]
  const wide = frame.widthPx * pitchMm
  const high = frame.heightPx * pitchMm
  const { left, top, widthPx, heightPx } = view(wide / 2 + BEZEL_MM + ROOM_MM, high / 2 + BEZEL_MM + ROOM_MM, right, down, shot)
  const shadeAt = shades(frame, pitchMm, shot)

  const values = new Float32Array(widthPx * heightPx)
  const [shiftX, shiftY] = shot.shiftMm
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) {
      let sum = 0
      for (let j = 0; j < SAMPLES; j++) {
        for (let i = 0; i < SAMPLES; i++) {
          // The ray through this part of the pixel meets the panel's plane at (u, v) millimetres from its middle.
          const rayX = (left + x + (i + 0.5) / SAMPLES) / FOCAL_PX
          const rayY = (top + y + (j + 0.5) / SAMPLES) / FOCAL_PX
          const reach = shot.distanceMm * away[2] / (away[0] * rayX + away[1] * rayY + away[2])
          const [px, py, pz] = [reach * rayX, reach * rayY, reach - shot.distanceMm]
          const u = px * right[0] + py * right[1] + pz * right[2] + shiftX
          const v = px * down[0] + py * down[1] + pz * down[2] + shiftY
          sum += shadeAt(u + wide / 2, v + high / 2)
        }
      }
      values[y * widthPx + x] = sum / (SAMPLES * SAMPLES)
    }
  }
  return { widthPx, heightPx, values }
}

/** Where the panel's own right and down point in the camera's space: tilted first, then turned. */
function axes({ turnDegrees, tiltDegrees, axisDegrees }: Shot): { readonly right: Vector; readonly down: Vector } {
  const radians = (degrees: number): number => degrees * Math.PI / 180
  const [turn, tilt, axis] = [radians(turnDegrees), radians(tiltDegrees), radians(axisDegrees)]
  const [ax, ay] = [Math.cos(axis), Math.sin(axis)]
  // Rodrigues around (ax, ay, 0), in the plane of the panel.
  const tilted = ([x, y]: readonly [number, number]): Vector => {
    const along = (ax * x + ay * y) * (1 - Math.cos(tilt))
    return [x * Math.cos(tilt) + ax * along, y * Math.cos(tilt) + ay * along, (ax * y - ay * x) * Math.sin(tilt)]
  }
  const turned = ([x, y, z]: Vector): Vector =>
    [x * Math.cos(turn) - y * Math.sin(turn), x * Math.sin(turn) + y * Math.cos(turn), z]
  return { right: turned(tilted([1, 0])), down: turned(tilted([0, 1])) }
}

/** The part of the preview in which the panel and its bezel lie. */
function view(halfWide: number, halfHigh: number, right: Vector, down: Vector, { distanceMm }: Shot): {
  readonly left: number; readonly top: number; readonly widthPx: number; readonly heightPx: number
} {
  const corners = [[-1, -1], [1, -1], [-1, 1], [1, 1]].map(([a = 0, b = 0]) => {
    const [u, v] = [a * halfWide, b * halfHigh]
    const z = distanceMm + u * right[2] + v * down[2]
    return [FOCAL_PX * (u * right[0] + v * down[0]) / z, FOCAL_PX * (u * right[1] + v * down[1]) / z] as const
  })
  const reach = (values: readonly number[]): number => Math.ceil(Math.max(...values.map(Math.abs)))
  const [x, y] = [reach(corners.map((corner) => corner[0])), reach(corners.map((corner) => corner[1]))]
  const [longest, shortest] = [PREVIEW_PX.long / 2, PREVIEW_PX.short / 2] // People turn the telephone to suit the panel.
  const [halfX, halfY] = x >= y ? [Math.min(x, longest), Math.min(y, shortest)] : [Math.min(x, shortest), Math.min(y, longest)]
  return { left: -halfX, top: -halfY, widthPx: 2 * halfX, heightPx: 2 * halfY }
}

/** What the light is at a place of the panel, in millimetres from its first dot's outer corner. */
function shades({ widthPx, heightPx, bits }: Frame, pitchMm: number, { white, black, bezel, ghost }: Shot): (u: number, v: number) => number {
  const stride = strideBytes(widthPx)
  const isDark = (from: Uint8Array, x: number, y: number): boolean => (((from[y * stride + (x >> 3)] ?? 0) << (x & 7)) & 0x80) !== 0
  const stained = ghost === undefined ? white : white - ghost.share * (white - black)
  const bezelDots = BEZEL_MM / pitchMm
  return (u, v) => {
    const x = Math.floor(u / pitchMm)
    const y = Math.floor(v / pitchMm)
    if (x < 0 || y < 0 || x >= widthPx || y >= heightPx) {
      return x < -bezelDots || y < -bezelDots || x >= widthPx + bezelDots || y >= heightPx + bezelDots ? ROOM : bezel
    }
    if (isDark(bits, x, y)) return black
    return ghost !== undefined && isDark(ghost.frame.bits, x, y) ? stained : white
  }
}

function blur(light: Light, sigma: number): Light {
  if (sigma === 0) return light
  const reach = Math.ceil(3 * sigma)
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const kernel = Float32Array.from(weights, (weight) => weight / total)
  return smear(smear(light, kernel, 'across'), kernel, 'down')
}

function smear({ widthPx, heightPx, values }: Light, kernel: Float32Array, way: 'across' | 'down'): Light {
  const reach = (kernel.length - 1) / 2
  const smeared = new Float32Array(values.length)
  const [step, last] = way === 'across' ? [1, widthPx - 1] : [widthPx, heightPx - 1]
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) {
      const here = way === 'across' ? x : y
      const at = y * widthPx + x
      let sum = 0
      for (let i = -reach; i <= reach; i++) {
        const inside = Math.min(last, Math.max(0, here + i)) - here
        sum += (kernel[i + reach] ?? 0) * (values[at + inside * step] ?? 0)
      }
      smeared[at] = sum
    }
  }
  return { widthPx, heightPx, values: smeared }
}

function expose({ widthPx, heightPx, values }: Light, { noise, gradient }: Shot, chance: () => number): Picture {
  const taken = new Uint8Array(values.length)
  values.forEach((value, at) => {
    const lit = value * (1 + gradient * ((at % widthPx) / widthPx - 0.5))
    taken[at] = Math.min(255, Math.max(0, Math.round(lit + noise * bell(chance))))
  })
  return { widthPx, heightPx, shades: taken }
}

/** Normally distributed (Box and Muller, 1958). */
const bell = (chance: () => number): number => Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance())
