/**
 * An LCD behind Linux's framebuffer: SPI panels (fbtft, panel-mipi-dbi), HDMI, DSI and DPI (vc4). Its geometry is what
 * the kernel says in sysfs, never a guess; a profile that says otherwise is refused.
 *
 * A swept or clean picture writes every row, so that nothing else that was written there survives; a quick one writes the
 * rows that changed. There is no switch for the order of colours: black and white, all there is, are the same bytes in each (RGB, BGR).
 * Closing leaves the last picture and the light as they are: the terminal draws white at its end, and white that is lit
 * looks like a stand at rest, where a dark panel looks like a broken one.
 */
import { constants } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { setTimeout as after } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { DriverError, type Frame, type Panel, type PanelSize, type Refresh, refuseWrongSize, strideBytes } from '../driver.js'
import { findFramebuffer, type FramebufferGeometry, freeFromConsole, type LinuxRoots, REAL_ROOTS, switchOn } from '../linux/framebuffer.js'
import type { Rotation } from './eink-chip.js'
import { createLatest } from './latest.js'

export interface FramebufferPanelOptions {
  /** The name in /sys/class/graphics/fb?/name, such as 'panel-mipi-dbid', or '/dev/fb1'. Numbers change from boot to boot. */
  readonly device: string
  /** As the profile says it is looked at. */
  readonly size: PanelSize
  /** The clockwise turn of an upright picture on its way into the panel's memory. */
  readonly rotation: Rotation
  readonly log: Logger
  readonly roots?: LinuxRoots
  readonly openMemory?: (path: string) => Promise<PanelMemory>
  readonly drawMs?: number
}

/** The panel's memory, as a device file. */
export interface PanelMemory {
  write(bytes: Uint8Array, at: number): Promise<void>
  close(): Promise<void>
}

/** A large SPI panel takes 0.3 s for a whole picture. */
const DRAW_MS = 5_000

export async function openFramebufferPanel(options: FramebufferPanelOptions): Promise<Panel> {
  const { device, size, rotation, log, roots = REAL_ROOTS, openMemory = openDeviceFile, drawMs = DRAW_MS } = options
  const found = await findFramebuffer(device, roots)
  const { path, geometry } = found
  refuseOtherSize(size, rotation, found.title, geometry)
  const memory = await within(drawMs, openMemory(path), `${found.title} did not open`)
  try {
    await switchOn(found, roots, await freeFromConsole(found, roots, log), log)
  } catch (error) {
    await memory.close().catch(() => undefined) // That the panel is dark is what a person must hear of.
    throw error
  }

  /** What stands in the panel's memory; undefined when nobody can know. */
  let shown: Uint8Array | undefined
  const latest = createLatest(show)
  let closing: Promise<void> | undefined
  /** A write did not end in time. It may still end; nothing that waited behind it may follow it then. */
  let lost = false

  function refuseWhenUnusable(): void {
    if (closing !== undefined) throw new DriverError('PANEL_WRITE_FAILED', `${found.title} is closed`)
    refuseWhenLost()
  }

  function refuseWhenLost(): void {
    if (lost) throw new DriverError('PANEL_TIMEOUT', `${found.title} still does not answer`)
  }

  async function show(frame: Frame, refresh: Refresh): Promise<void> {
    const rows = toRows(frame, rotation, geometry)
    const runs = changedRows(refresh === 'quick' ? shown : undefined, rows, geometry)
    shown = undefined // Until all of it is written.
    for (const { from, to } of runs) {
      refuseWhenLost()
      await memory.write(rows.subarray(from, to), geometry.firstByte + from).catch((error: unknown) => {
        throw new DriverError('PANEL_WRITE_FAILED', `cannot write to ${found.title} (${codeOf(error)})`, error)
      })
    }
    shown = rows
  }

  return {
    size,
    async draw(frame, refresh = 'clean') {
      refuseWhenUnusable()
      refuseWrongSize(frame, size)
      await within(drawMs, latest.draw(frame, refresh), `${found.title} did not draw`, () => { lost = true })
    },
    async check() {
      refuseWhenUnusable()
      const now = await findFramebuffer(device, roots)
      if (now.path === path && isDeepStrictEqual(now.geometry, geometry)) return
      throw new DriverError('PANEL_OPEN_FAILED', `${found.title} has become ${now.title} of ${sizeText(now.geometry)}; it was ${sizeText(geometry)}`)
    },
    async close() {
      closing ??= latest.idle().then(() => memory.close())
      await within(drawMs, closing, `${found.title} did not close`)
    },
  }
}

const sizeText = ({ widthPx, heightPx, bytesPerDot, strideBytes: stride }: FramebufferGeometry): string =>
  `${widthPx}x${heightPx} dots, ${8 * bytesPerDot} bits a dot, ${stride} bytes a row`

function refuseOtherSize(size: PanelSize, rotation: Rotation, title: string, { widthPx, heightPx }: FramebufferGeometry): void {
  const [upWide, upHigh] = rotation % 180 === 0 ? [widthPx, heightPx] : [heightPx, widthPx]
  if (size.widthPx === upWide && size.heightPx === upHigh) return
  throw new DriverError('PANEL_WRONG_SIZE',
    `the profile says ${size.widthPx}x${size.heightPx} dots at rotation ${rotation}; ${title} has ${widthPx}x${heightPx}, ` +
    `which is ${upWide}x${upHigh} at that rotation`)
}

/**
 * The picture as the panel's memory holds it: turned, of 2 or 4 bytes a dot, rows as far apart as the kernel says. The byte
 * of XRGB8888 that has no colour is 0xff everywhere, since some displays take it for opacity.
 */
function toRows(frame: Frame, rotation: Rotation, { widthPx, heightPx, bytesPerDot, strideBytes: stride }: FramebufferGeometry): Uint8Array {
  const rows = new Uint8Array(stride * heightPx).fill(0xff)
  const frameStride = strideBytes(frame.widthPx)
  const colourBytes = Math.min(bytesPerDot, 3)
  for (let y = 0; y < frame.heightPx; y++) {
    for (let column = 0; column < frameStride; column++) {
      const dark = frame.bits[y * frameStride + column] ?? 0
      if (dark === 0) continue // Most of a picture is white.
      const end = Math.min(column * 8 + 8, frame.widthPx)
      for (let x = column * 8; x < end; x++) {
        if ((dark & (0x80 >> (x & 7))) === 0) continue
        const at = placeOf(x, y, rotation, widthPx - 1, heightPx - 1)
        rows.fill(0, at.y * stride + at.x * bytesPerDot, at.y * stride + at.x * bytesPerDot + colourBytes)
      }
    }
  }
  return rows
}

/** Where a dot of the upright picture goes. */
function placeOf(x: number, y: number, rotation: Rotation, lastX: number, lastY: number): { readonly x: number; readonly y: number } {
  switch (rotation) {
    case 0: return { x, y }
    case 90: return { x: lastX - y, y: x }
    case 180: return { x: lastX - x, y: lastY - y }
    case 270: return { x: y, y: lastY - x }
  }
}

interface Run {
  readonly from: number
  readonly to: number
}

/**
 * Runs of neighbouring rows that differ, in bytes; one run of all rows when the old picture is not known. The last one ends
 * with the last dot: the memory of a picture that starts in the middle of a row ends before a whole row would.
 */
function changedRows(old: Uint8Array | undefined, rows: Uint8Array, { widthPx, heightPx, bytesPerDot, strideBytes: stride }: FramebufferGeometry): readonly Run[] {
  const end = (heightPx - 1) * stride + widthPx * bytesPerDot
  if (old === undefined) return [{ from: 0, to: end }]
  const runs: { from: number; to: number }[] = []
  for (let from = 0; from < end; from += stride) {
    const to = Math.min(from + stride, end)
    if (Buffer.compare(old.subarray(from, to), rows.subarray(from, to)) === 0) continue
    const last = runs.at(-1)
    if (last?.to === from) last.to = to
    else runs.push({ from, to })
  }
  return runs
}

async function openDeviceFile(path: string): Promise<PanelMemory> {
  let file
  try {
    file = await openFile(path, constants.O_WRONLY)
  } catch (error) {
    const code = codeOf(error)
    const hint = code === 'EACCES' ? ': whoever runs the terminal must be in the group video' : ''
    throw new DriverError('PANEL_OPEN_FAILED', `cannot open ${path} (${code})${hint}`, error)
  }
  return {
    async write(bytes, at) {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
        if (bytesWritten === 0) throw new Error('it takes no more bytes')
        done += bytesWritten
      }
    },
    close: () => file.close(),
  }
}

async function within<T>(ms: number, work: Promise<T>, complaint: string, late = (): void => undefined): Promise<T> {
  const done = new AbortController()
  const tooLong = after(ms, undefined, { signal: done.signal }).then(() => {
    late()
    throw new DriverError('PANEL_TIMEOUT', `${complaint} in ${ms} ms`)
  })
  try {
    return await Promise.race([work, tooLong])
  } finally {
    done.abort()
    tooLong.catch(() => undefined) // Called off.
  }
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error))
