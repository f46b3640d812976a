/**
 * What every panel promises (drivers/driver.ts), as tests that every panel runs: real ones, virtual ones, fakes.
 * The one who opens it must also be able to say what can be seen.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { DriverError, type Frame, type Panel, type PanelSize, strideBytes } from '../../drivers/driver.js'

export interface OpenedPanel {
  readonly panel: Panel
  /** The picture that a person would see now. Bits beyond the right edge do not count. */
  visible(): Promise<Frame>
  dispose?(): Promise<void>
}

/** Not a whole number of bytes wide: the last byte of a row is where drivers go wrong. */
const SIZE: PanelSize = { widthPx: 122, heightPx: 70, pitchMm: 0.194 }

/** Glass of a size of its own is opened with that. */
export function panelConformance(name: string, open: (size: PanelSize) => Promise<OpenedPanel>, size: PanelSize = SIZE): void {
  const { filled, speckled } = picturesOf(size)
  describe(`${name} keeps the promises of a panel`, () => {
    const opened: OpenedPanel[] = []
    const fresh = async (): Promise<OpenedPanel> => {
      const panel = await open(size)
      opened.push(panel)
      return panel
    }
    afterEach(async () => {
      for (const { panel, dispose } of opened.splice(0)) {
        await panel.close()
        await dispose?.()
      }
    })

    test('it has the size it was opened with', async () => {
      expect((await fresh()).panel.size).toEqual(size)
    })

    test('it shows exactly the dots of the picture', async () => {
      const { panel, visible } = await fresh()
      const frame = speckled(1)
      await panel.draw(frame)
      expect(dots(await visible())).toEqual(dots(frame))
    })

    test('a picture replaces the whole one before it', async () => {
      const { panel, visible } = await fresh()
      await panel.draw(filled(0xff))
      await panel.draw(filled(0))
      expect(dots(await visible())).toEqual(dots(filled(0)))
    })

    test('of pictures drawn at once, the last one stays', async () => {
      const { panel, visible } = await fresh()
      await Promise.all([1, 2, 3, 4, 5].map((seed) => panel.draw(speckled(seed))))
      expect(dots(await visible())).toEqual(dots(speckled(5)))
    })

    test('of two hundred pictures drawn at once, every one ends well, and the last one stays', async () => {
      const { panel, visible } = await fresh()
      const frames = Array.from({ length: 200 }, (_, seed) => speckled(seed + 1))
      const ends = await Promise.allSettled(frames.map((frame) => panel.draw(frame)))
      expect(ends.filter(({ status }) => status === 'rejected')).toEqual([])
      expect(dots(await visible())).toEqual(dots(speckled(200)))
    })

    test('a panel that is asked whether it answers says so, and its picture stays', async () => {
      const { panel, visible } = await fresh()
      await panel.draw(speckled(9))
      await panel.check?.()
      expect(dots(await visible())).toEqual(dots(speckled(9)))
      await panel.draw(speckled(10), 'quick')
      expect(dots(await visible())).toEqual(dots(speckled(10)))
    })

    test('a picture changed by its owner after it was drawn does not change what is seen', async () => {
      const { panel, visible } = await fresh()
      const frame = speckled(6)
      const drawing = panel.draw(frame)
      frame.bits.fill(0xff)
      await drawing
      expect(dots(await visible())).toEqual(dots(speckled(6)))
    })

    test.each([
      ['wider', { ...filled(0), widthPx: size.widthPx + 1 }],
      ['higher', { ...filled(0), heightPx: size.heightPx + 1 }],
      ['of too few bytes', { ...filled(0), bits: new Uint8Array(strideBytes(size.widthPx) * size.heightPx - 1) }],
    ])('a picture that is %s is refused, and the old one stays', async (_, wrong) => {
      const { panel, visible } = await fresh()
      await panel.draw(speckled(7))
      await expect(panel.draw(wrong)).rejects.toMatchObject({ name: 'DriverError', code: 'PANEL_WRONG_SIZE' })
      expect(dots(await visible())).toEqual(dots(speckled(7)))
      await panel.draw(speckled(8))
      expect(dots(await visible())).toEqual(dots(speckled(8)))
    })

    test('it may be closed twice', async () => {
      const { panel } = await fresh()
      await panel.draw(filled(0))
      await panel.close()
      await expect(panel.close()).resolves.toBeUndefined()
    })

    test('nothing is drawn once it is closed', async () => {
      const { panel } = await fresh()
      await panel.close()
      await expect(panel.draw(filled(0))).rejects.toBeInstanceOf(DriverError)
    })
  })
}

interface Pictures {
  filled(byte: number): Frame
  /** No symmetry, no repetition: mirrored, turned, inverted or shifted it is another picture (xorshift, Marsaglia 2003). */
  speckled(seed: number): Frame
}

function picturesOf({ widthPx, heightPx }: PanelSize): Pictures {
  const filled = (byte: number): Frame => ({ widthPx, heightPx, bits: new Uint8Array(strideBytes(widthPx) * heightPx).fill(byte) })
  return {
    filled,
    speckled(seed) {
      const frame = filled(0)
      let x = seed * 2_654_435_761 >>> 0 || 1
      for (let i = 0; i < frame.bits.length; i++) {
        x ^= x << 13
        x ^= x >>> 17
        x ^= x << 5
        frame.bits[i] = x & 0xff
      }
      return frame
    },
  }
}

function dots({ widthPx, heightPx, bits }: Frame): readonly string[] {
  return Array.from({ length: heightPx }, (_, y) => Array.from({ length: widthPx }, (__, i) =>
    (((bits[y * strideBytes(widthPx) + (i >> 3)] ?? 0) << (i & 7)) & 0x80 ? '#' : '.')).join(''))
}
