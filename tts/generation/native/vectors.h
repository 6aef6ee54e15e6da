/* Vectors of 16 lanes, of whatever registers the processor has: types, 2^y and what follows from it, sums of products.
 *
 * engine.c says why sums have one order. It includes this file where it is compiled for an instruction set. */
#include <stdint.h>
#include <string.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };
typedef float floats __attribute__((ext_vector_type(16)));
typedef double doubles __attribute__((ext_vector_type(16)));
typedef int16_t shorts16 __attribute__((ext_vector_type(16)));
typedef int16_t shorts __attribute__((ext_vector_type(32)));
typedef uint8_t bytes8 __attribute__((ext_vector_type(8)));
typedef uint8_t bytes16 __attribute__((ext_vector_type(16)));
typedef int32_t ints __attribute__((ext_vector_type(16)));
typedef uint32_t sums __attribute__((ext_vector_type(16))); /* unsigned: they may wrap on the way to one that fits */

/* What lies anywhere, as a type; and back. */
#define READ(type, from) ({ type v_; memcpy(&v_, from, sizeof v_); v_; })
#define WRITE(to, type, value) ({ type v_ = value; memcpy(to, &v_, sizeof v_); })
INLINE floats load(const float *from) { return READ(floats, from); }
INLINE void store(float *to, floats v) { WRITE(to, floats, v); }
INLINE floats to_floats(sums v) { return __builtin_convertvector((ints)v, floats); }
INLINE floats choose(ints mask, floats yes, floats no) { return (floats)(((ints)yes & mask) | ((ints)no & ~mask)); }
INLINE floats larger(floats a, floats b) { return choose(a > b, a, b); }  /* b where one is not a number */
INLINE floats smaller(floats a, floats b) { return choose(a < b, a, b); }

INLINE float highest(floats v)
{
    v = larger(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    v = larger(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3));
    v = larger(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1));
    v = larger(v, __builtin_shufflevector(v, v, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0));
    return v[0];
}

/* Lane k with the sum of the lanes up to k, by doubling: the fixed tree of every float sum here. */
INLINE floats running(floats v)
{
    const floats zero = 0.0f;
    v += __builtin_shufflevector(zero, v, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
    v += __builtin_shufflevector(zero, v, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
    v += __builtin_shufflevector(zero, v, 0, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27);
    v += __builtin_shufflevector(zero, v, 0, 0, 0, 0, 0, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23);
    return v;
}

/* 1.5 x 2^23: a float32 near it has a unit of 1, so adding it rounds to the nearest integer, ties to even. */
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4B400000
INLINE ints rounded(floats x) { return (ints)(x + ROUNDER) - ROUNDER_BITS; } /* |x| < 2^22 */

/* 2^y, relative error below 2.5e-7; y is kept within [-126, 126]. */
INLINE floats two_to(floats y)
{
    y = smaller(larger(y, (floats)-126.0f), (floats)126.0f);
    floats shifted = y + ROUNDER;
    floats f = y - (shifted - ROUNDER); /* in [-1/2, 1/2] */
    floats p = 0.0013266970636323094f; /* least relative error of degree 5, 8e-8 */
    p = p * f + 0.009675459936261177f;
    p = p * f + 0.05550742521882057f;
    p = p * f + 0.24022121727466583f;
    p = p * f + 0.6931469440460205f;
    p = p * f + 1.0000001192092896f;
    return p * (floats)(((ints)shifted - ROUNDER_BITS + 127) << 23);
}

#define LOG2_E 1.4426950408889634f
INLINE floats sigmoid(floats x) { return 1.0f / (1.0f + two_to(x * -LOG2_E)); }
INLINE floats hyperbolic_tangent(floats x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; } /* absolute error below 2.5e-7 */

/* Two instructions that the extensions have no word for, on vectors as wide as the processor's. TOGETHER: how many
 * vectors of inputs share a weight that is in a register, as many as leave room for their sums. */
#if defined(__AVX512BW__)
enum { WIDTH = 64, TOGETHER = 8 };
#define ADD_PAIRS __builtin_ia32_pmaddwd512
#define ADD_PAIRS_OF_BYTES __builtin_ia32_pmaddubsw512
#elif defined(__AVX2__)
enum { WIDTH = 32, TOGETHER = 2 };
#define ADD_PAIRS __builtin_ia32_pmaddwd256
#define ADD_PAIRS_OF_BYTES __builtin_ia32_pmaddubsw256
#elif defined(__SSSE3__)
enum { WIDTH = 16, TOGETHER = 2 };
#define ADD_PAIRS __builtin_ia32_pmaddwd128
#define ADD_PAIRS_OF_BYTES __builtin_ia32_pmaddubsw128
#else
enum { WIDTH = 16, TOGETHER = 2 };
#endif
typedef short part __attribute__((vector_size(WIDTH)));
typedef char part_of_bytes __attribute__((vector_size(WIDTH)));

/* a[2k] b[2k] + a[2k + 1] b[2k + 1], exact in int32. */
INLINE sums sums_of_pairs(shorts a, shorts b)
{
#if defined(ADD_PAIRS)
    sums all;
#pragma clang loop unroll(full)
    for (int k = 0; k < 64; k += WIDTH)
        WRITE((char *)&all + k, part, (part)ADD_PAIRS(READ(part, (char *)&a + k), READ(part, (char *)&b + k)));
    return all;
#else
    return (sums)(__builtin_convertvector(a.even, ints) * __builtin_convertvector(b.even, ints) +
                  __builtin_convertvector(a.odd, ints) * __builtin_convertvector(b.odd, ints));
#endif
}

/* As many bytes, and sums, as the processor has in a register. */
typedef int8_t bytes __attribute__((ext_vector_type(WIDTH)));
typedef uint32_t part_sums __attribute__((ext_vector_type(WIDTH / 4)));
typedef int32_t part_ints __attribute__((ext_vector_type(WIDTH / 4)));
typedef float part_floats __attribute__((ext_vector_type(WIDTH / 4)));

/* w[4k] x0 + … + w[4k + 3] x3, exact: the x are the bytes of `four`, at most 127, so that two products fit in int16. */
INLINE part_sums sums_of_fours(bytes w, uint32_t four)
{
#if defined(ADD_PAIRS)
    part ones = {0};
    ones += 1;
    return (part_sums)ADD_PAIRS((part)ADD_PAIRS_OF_BYTES((part_of_bytes)(part_sums)four, (part_of_bytes)w), ones);
#else
    typedef int16_t halves __attribute__((ext_vector_type(WIDTH)));
    halves products = __builtin_convertvector(w, halves) * __builtin_convertvector((bytes)(part_sums)four, halves);
    typedef int16_t twos __attribute__((ext_vector_type(WIDTH / 2)));
    twos two = products.even + products.odd;
    return (part_sums)(__builtin_convertvector(two.even, part_ints) + __builtin_convertvector(two.odd, part_ints));
#endif
}

/* The bytes of `from` at `places`, each below 8. */
INLINE bytes8 pick(bytes8 from, bytes8 places)
{
#if defined(ADD_PAIRS)
    typedef char chars __attribute__((vector_size(16)));
    const bytes8 none = 0;
#define WIDER(v) (chars)__builtin_shufflevector(v, none, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    return ((bytes16)__builtin_ia32_pshufb128(WIDER(from), WIDER(places))).lo;
#else
    return (bytes8)vtbl1_u8((uint8x8_t)from, (uint8x8_t)places);
#endif
}
