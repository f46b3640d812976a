/**
 * From a code's text to modules that fit a panel, onto the bits that go to it, and back from those very bits.
 * A code that cannot be read by a customer's camera is refused; a frame that does not read back as its payload is
 * never called a code. No network: the decoder's WebAssembly comes from the installed package.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import encodeQR, { type ErrorCorrection } from 'qr'
import { type Frame, strideBytes } from '../drivers/driver.js'
import { stampMark } from './mark.js'
import { PAYLOAD_CHARS_MAX } from './protocol/payload.js'

export type Correction = 'Q' | 'M' | 'L'

export interface CodePlan {
  readonly fits: true
  /** 1..40 */
  readonly version: number
  readonly correction: Correction
  /** Square, true is dark, without the quiet zone. */
  readonly modules: readonly (readonly boolean[])[]
  /** Dots along a module's side, 2 or more. */
  readonly modulePx: number
  /** White modules around the symbol: 4, or 2 where 4 would make it too fine. */
  readonly quietModules: 4 | 2
  /** Side of the symbol alone, and with its quiet zone. */
  readonly symbolPx: number
  readonly outerPx: number
  /** What stands in the middle, on a white square of so many modules (an odd number: it covers whole ones). */
  readonly mark?: { readonly picture: Frame; readonly modules: number }
  readonly scan: ScanReport
}

/** What a customer's camera will meet. All in millimetres, from the panel's own pitch. */
export interface ScanReport {
  readonly moduleMm: number
  readonly symbolMm: number
  readonly quietMm: number
  /** As far as ten times the symbol, a rule of thumb of printers; nearer where a telephone would see a module too small. */
  readonly comfortableMm: number
}

export type CodeRefusal = {
  readonly fits: false
  readonly refused: 'text too long' | 'too fine for this panel'
  readonly text: string
}

export interface BoxPx {
  readonly widthPx: number
  readonly heightPx: number
}

/** Below this a telephone at 15 cm has fewer than 3 camera pixels a module (panels-keypads-gpio.md, A5). */
export const MODULE_MM_MIN = 0.38
/** On a counter a larger symbol only pushes the customer away (customer-screen.md, 5c). The nearest whole dot to it. */
export const SYMBOL_MM = 60
/**
 * At so many times a module's side a telephone (1080 lines of preview over 50 degrees) has 3.3 camera pixels for it, and
 * reads every picture of the simulated ones; at 3 a few fail, and at 2.5 a third (panels-keypads-gpio.md, A5; test/camera/).
 */
const MODULES_AWAY = 350

const LEVELS: readonly (readonly [Correction, ErrorCorrection])[] = [['Q', 'quartile'], ['M', 'medium'], ['L', 'low']]

/*
 * Two references, one ladder. DENSO asks for 4 dots a module (of printers, whose dots bleed); a panel's dot is a crisp
 * square, and what phones miss is millimetres. So the millimetres are a hard floor, and the dots a preference: at 4 dots
 * the strongest correction that fits, else the same at 3, else at 2. A narrower quiet zone is the last resort, since old
 * decoders need all 4 modules; 1 dot is never used, because a single stuck dot would be a wrong module.
 */
const LADDER: readonly { readonly quietModules: 4 | 2; readonly dotsMin: number }[] = [
  { quietModules: 4, dotsMin: 4 }, { quietModules: 4, dotsMin: 3 }, { quietModules: 4, dotsMin: 2 },
  { quietModules: 2, dotsMin: 2 },
]

/** How much of the symbol's side a mark may cover, by correction (customer-screen.md, 5c). Under L there is never one. */
const MARK_SHARE: Readonly<Record<Correction, number>> = { Q: 0.2, M: 0.15, L: 0 }
/** In fewer dots nobody would know the mark. */
const MARK_PX_MIN = 10

/**
 * Version, correction, size of a module and quiet zone for this box; of the eight masks the encoder takes the one with
 * the least penalty (ISO/IEC 18004, 7.8.3). A mark that would cost the quiet zone or the floor of a module is left out.
 */
export function planCode(payload: string, box: BoxPx, pitchMm: number, mark?: Frame): CodePlan | CodeRefusal {
  if (payload.length === 0 || payload.length > PAYLOAD_CHARS_MAX) {
    return { fits: false, refused: 'text too long', text: `a code of ${payload.length} characters; 1 to ${PAYLOAD_CHARS_MAX} can be shown` }
  }
  const sidePx = Math.min(box.widthPx, box.heightPx)
  const symbols = LEVELS.map(([correction, ecc]) => ({ correction, modules: encode(payload, ecc) }))

  for (const picture of mark === undefined ? [undefined] : [mark, undefined]) {
    const plan = climb(symbols, sidePx, pitchMm, picture)
    if (plan !== undefined) return plan
  }
  return { fits: false, refused: 'too fine for this panel', text: tooFine(symbols.at(-1)?.modules.length ?? 0, sidePx, pitchMm) }
}

/** What the last rung of the ladder would need: of a coarse panel more dots, of a fine one more millimetres. */
function tooFine(modules: number, sidePx: number, pitchMm: number): string {
  const across = modules + 2 * 2
  const modulePx = Math.max(2, Math.ceil(MODULE_MM_MIN / pitchMm))
  return `a code of ${modules} modules and its quiet zone needs ${across * modulePx} dots of ${pitchMm} mm across, ${modulePx} a module, ` +
    `of at least ${MODULE_MM_MIN} mm; it has ${sidePx}`
}

type Encoded = Pick<CodePlan, 'correction' | 'modules'>

function climb(symbols: readonly Encoded[], sidePx: number, pitchMm: number, picture: Frame | undefined): CodePlan | undefined {
  for (const { quietModules, dotsMin } of picture === undefined ? LADDER : LADDER.filter((rung) => rung.quietModules === 4)) {
    for (const { correction, modules } of symbols) {
      const modulePx = Math.min(
        Math.floor(sidePx / (modules.length + 2 * quietModules)),
        Math.max(2, Math.round(SYMBOL_MM / (modules.length * pitchMm))),
      )
      if (modulePx < dotsMin || modulePx * pitchMm < MODULE_MM_MIN) continue
      const plan = describe(modules, correction, quietModules, modulePx, pitchMm)
      if (picture === undefined) return plan
      const covered = oddBelow(MARK_SHARE[correction] * modules.length)
      if (covered * modulePx >= MARK_PX_MIN) return { ...plan, mark: { picture, modules: covered } }
    }
  }
  return undefined
}

/** A symbol's side is an odd number of modules, so what stands in its very middle and covers whole ones is, too. */
const oddBelow = (modules: number): number => 2 * Math.floor((modules + 1) / 2) - 1

/** Puts the symbol, without its quiet zone, and its mark onto a picture that is white there. */
export function stampCode(frame: Frame, { modules, modulePx, symbolPx, mark }: CodePlan, x: number, y: number): void {
  const stride = strideBytes(frame.widthPx)
  const [first, last] = [x >> 3, (x + symbolPx - 1) >> 3]
  modules.forEach((row, j) => {
    const line = new Uint8Array(stride)
    row.forEach((dark, i) => {
      if (!dark) return
      for (let dot = x + i * modulePx; dot < x + (i + 1) * modulePx; dot++) line[dot >> 3] = (line[dot >> 3] ?? 0) | (0x80 >> (dot & 7))
    })
    for (let from = (y + j * modulePx) * stride, end = from + modulePx * stride; from < end; from += stride) {
      for (let i = first; i <= last; i++) frame.bits[from + i] = (frame.bits[from + i] ?? 0) | (line[i] ?? 0)
    }
  })
  if (mark === undefined) return
  const sidePx = mark.modules * modulePx
  const edge = (symbolPx - sidePx) / 2
  stampMark(frame, mark.picture, { x: x + edge, y: y + edge, sidePx, whitePx: Math.ceil(modulePx / 2) })
}

/** Loads the decoder ahead of the first sale. */
export async function loadReader(): Promise<void> {
  await reader()
}

/**
 * The text of the one code in a frame, read from its packed bits. Undefined for none, for several, and for one that is
 * mirrored, inverted or turned: our own frames never are.
 */
export async function readBack(frame: Frame): Promise<string | undefined> {
  const { readBarcodes } = await reader()
  const found = await readBarcodes(unpack(frame), {
    formats: ['QRCode'], tryHarder: true, tryRotate: false, tryInvert: false, tryDownscale: false, tryDenoise: false,
    binarizer: 'FixedThreshold', maxNumberOfSymbols: 2, returnErrors: false, textMode: 'Plain',
  })
  const [code, another] = found
  if (code === undefined || another !== undefined || !code.isValid) return undefined
  return code.isMirrored || code.isInverted || code.orientation !== 0 ? undefined : code.text
}

export type Reading = 'matches' | 'unreadable' | 'another payload'

export async function verifyFrame(frame: Frame, payload: string): Promise<Reading> {
  const text = await readBack(frame)
  if (text === undefined) return 'unreadable'
  return text === payload ? 'matches' : 'another payload'
}

/** The smallest version that holds the text; the encoder's border (at least 1) is taken off again. */
function encode(payload: string, ecc: ErrorCorrection): readonly (readonly boolean[])[] {
  return encodeQR(payload, 'raw', { ecc, border: 1 }).slice(1, -1).map((row) => row.slice(1, -1))
}

function describe(
  modules: CodePlan['modules'], correction: Correction, quietModules: 4 | 2, modulePx: number, pitchMm: number,
): CodePlan {
  const symbolPx = modules.length * modulePx
  const symbolMm = symbolPx * pitchMm
  return {
    fits: true, version: (modules.length - 17) / 4, correction, modules, modulePx, quietModules,
    symbolPx, outerPx: symbolPx + 2 * quietModules * modulePx,
    scan: {
      moduleMm: modulePx * pitchMm, symbolMm, quietMm: quietModules * modulePx * pitchMm,
      comfortableMm: Math.min(10 * symbolMm, MODULES_AWAY * modulePx * pitchMm),
    },
  }
}

type Reader = typeof import('zxing-wasm/reader')
let loading: Promise<Reader> | undefined // The package keeps its WebAssembly once a process; so do we.

function reader(): Promise<Reader> {
  loading ??= load()
  return loading
}

async function load(): Promise<Reader> {
  const zxing = await import('zxing-wasm/reader')
  const wasm = await readFile(createRequire(import.meta.url).resolve('zxing-wasm/reader/zxing_reader.wasm'))
  const wasmBinary = wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength)
  await zxing.prepareZXingModule({ overrides: { wasmBinary }, fireImmediately: true })
  return zxing
}

const WHITE = 0xffffffff
const BLACK = 0xff000000 // The highest byte is opacity: every machine we run on is little-endian.

/** A decoder wants pictures of four bytes a dot: red, green, blue, opacity. */
function unpack({ widthPx, heightPx, bits }: Frame): { data: Uint8ClampedArray; width: number; height: number; colorSpace: 'srgb' } {
  const stride = strideBytes(widthPx)
  if (bits.length !== stride * heightPx) throw new Error(`frame of ${widthPx}x${heightPx} has ${bits.length} bytes, not ${stride * heightPx}`)
  const dots = new Uint32Array(widthPx * heightPx)
  let at = 0
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) {
      const dark = ((bits[y * stride + (x >> 3)] ?? 0) << (x & 7)) & 0x80
      dots[at++] = dark === 0 ? WHITE : BLACK
    }
  }
  return { data: new Uint8ClampedArray(dots.buffer), width: widthPx, height: heightPx, colorSpace: 'srgb' }
}
