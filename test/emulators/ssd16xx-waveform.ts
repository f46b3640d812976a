/**
 * What a waveform that the host loads does to a dot: its phases are run, frame by frame, on particles that lie somewhere
 * between white and black and stop at either end. Layouts of SSD1680 (153 bytes) and IL3820 (30 bytes).
 */
export const GREY = 2

export interface Changes {
  /** Whether a dot comes out right whatever it was; otherwise only dots that are to change move. */
  readonly everyDot: boolean
  /** All bits are 1 for white; `standing` is where the dot really is. */
  of(old: 0 | 1, wanted: 0 | 1, standing: 0 | 1): 0 | 1 | typeof GREY
}

interface Phase {
  /** 0 holds, 1 towards black, 2 towards white, 3 towards black with another voltage. */
  readonly voltage: number
  readonly frames: number
}

/** Frames from one end to the other. */
const WAY = 15

/** Undefined for a layout that is not known here. */
export function changesOf(bytes: Uint8Array): Changes | undefined {
  const phasesOf = bytes.length === 153 ? phasesOfSsd1680 : bytes.length === 30 ? phasesOfIl3820 : undefined
  if (phasesOf === undefined) return undefined
  const results = [0, 1, 2, 3, 4, 5, 6, 7].map((at) => run(phasesOf(bytes, at >> 1), (at & 1) as 0 | 1))
  const of: Changes['of'] = (old, wanted, standing) => results[(old << 2) | (wanted << 1) | standing]!
  const everyDot = of(0, 0, 1) === 0 && of(1, 1, 0) === 1
  return { everyDot, of }
}

function run(phases: readonly Phase[], from: 0 | 1): 0 | 1 | typeof GREY {
  let blackness = from === 1 ? 0 : WAY
  for (const { voltage, frames } of phases) {
    const towards = voltage === 0 ? 0 : voltage === 2 ? -1 : 1
    blackness = Math.min(WAY, Math.max(0, blackness + towards * frames))
  }
  if (blackness * 3 >= WAY * 2) return 0
  return blackness * 3 <= WAY ? 1 : GREY
}

/** Five rows of 12 groups of four phases; then 12 groups of times: A, B, repeats of AB, C, D, repeats of CD, repeats of all. */
function phasesOfSsd1680(bytes: Uint8Array, change: number): Phase[] {
  return Array.from({ length: 12 }, (_, group): Phase[] => {
    const voltages = bytes[change * 12 + group]!
    const [a, b, timesAB, c, d, timesCD, timesAll] = bytes.subarray(60 + group * 7, 67 + group * 7)
    const phase = (shift: number, frames: number): Phase => ({ voltage: (voltages >> shift) & 3, frames })
    const repeated = (phases: Phase[], times: number): Phase[] => Array.from({ length: times + 1 }, () => phases).flat()
    return repeated([...repeated([phase(6, a!), phase(4, b!)], timesAB!), ...repeated([phase(2, c!), phase(0, d!)], timesCD!)], timesAll!)
  }).flat()
}

/** 20 phases, each with white to white, white to black, black to white, black to black; then a nibble of frames for each. */
function phasesOfIl3820(bytes: Uint8Array, change: number): Phase[] {
  return Array.from({ length: 20 }, (_, at) => ({
    voltage: (bytes[at]! >> (2 * change)) & 3,
    frames: at % 2 === 0 ? bytes[20 + (at >> 1)]! & 15 : bytes[20 + (at >> 1)]! >> 4,
  }))
}
