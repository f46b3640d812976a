/**
 * From how far a text can be read, by EN 301 549, 5.1.4: letters of at least 0.7 degrees, and a contrast that tells ink
 * from ground. Pure; takes the letters as they were drawn.
 */

const LETTER_DEGREES = 0.7

/** How high a letter must be for an eye so far away: 4.9 mm at 400 mm. */
export const letterMmAt = (distanceMm: number): number => distanceMm * Math.tan(LETTER_DEGREES * Math.PI / 180)

/** The distance up to which letters of so many dots meet it. */
export const readableMm = (letterPx: number, pitchMm: number): number => letterPx * pitchMm / letterMmAt(1)

/** Of two greys of 0 (ink that gives no light back) to 1, by WCAG 2.1, "contrast ratio": 1 to 21. */
export function contrastRatio(darker: number, lighter: number): number {
  return (lighter + 0.05) / (darker + 0.05)
}

/** Asked of text, by EN 301 549, 9.1.4.3 (WCAG 2.1, 1.4.3). */
export const CONTRAST_MIN = 4.5
/** Share of the white that the black must lack, for a camera: what customer screens are accepted from. */
export const DEPTH_MIN = 0.7

/**
 * How many times more light white gives back than black. Assumed, without a source to cite: 8 as e-ink indoors at 25 degrees
 * should have, 20 for an LCD in a lit room. To be replaced by a datasheet or a measurement; worn or cold glass has less.
 */
export const GLASS_CONTRAST = { eink: 8, framebuffer: 20 } as const

/** Of ink and ground on that glass: by WCAG, and as a share (white less black, of both together). */
export const contrastOn = (glass: keyof typeof GLASS_CONTRAST): { readonly ratio: number; readonly depth: number } => {
  const times = GLASS_CONTRAST[glass]
  return { ratio: contrastRatio(1 / times, 1), depth: (times - 1) / (times + 1) }
}
