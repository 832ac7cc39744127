"""The tables of Lewiner's marching cubes: which triangles a cube gets, and what decides between them.

Thomas Lewiner's published tables (T. Lewiner, H. Lopes, A. W. Vieira, G. Tavares, "Efficient implementation of
marching cubes' cases with topological guarantees", Journal of Graphics Tools 8(2), 2003, 1-15), in the numbers in which
scikit-image 0.26 distributes them (BSD-3-Clause, see LICENSES/scikit-image.txt): all tables one after the other as
int8, compressed, in base 85. CASESCLASSIC is Lorensen and Cline's. The order is that of `Table` in
csrc/contours/marching_cubes.cpp.
"""

from __future__ import annotations

import base64
import functools
import math
import zlib

import numpy as np

#: Name -> shape. A tiling's last axis holds three edges (0 to 11; 12 is the cube's centre) per triangle.
SHAPES: dict[str, tuple[int, ...]] = {
    "CASESCLASSIC": (256, 16),
    "CASES": (256, 2),
    "TILING1": (16, 3),
    "TILING2": (24, 6),
    "TILING3_1": (24, 6),
    "TILING3_2": (24, 12),
    "TILING4_1": (8, 6),
    "TILING4_2": (8, 18),
    "TILING5": (48, 9),
    "TILING6_1_1": (48, 9),
    "TILING6_1_2": (48, 27),
    "TILING6_2": (48, 15),
    "TILING7_1": (16, 9),
    "TILING7_2": (16, 3, 15),
    "TILING7_3": (16, 3, 27),
    "TILING7_4_1": (16, 15),
    "TILING7_4_2": (16, 27),
    "TILING8": (6, 6),
    "TILING9": (8, 12),
    "TILING10_1_1": (6, 12),
    "TILING10_1_1_": (6, 12),
    "TILING10_1_2": (6, 24),
    "TILING10_2": (6, 24),
    "TILING10_2_": (6, 24),
    "TILING11": (12, 12),
    "TILING12_1_1": (24, 12),
    "TILING12_1_1_": (24, 12),
    "TILING12_1_2": (24, 24),
    "TILING12_2": (24, 24),
    "TILING12_2_": (24, 24),
    "TILING13_1": (2, 12),
    "TILING13_1_": (2, 12),
    "TILING13_2": (2, 6, 18),
    "TILING13_2_": (2, 6, 18),
    "TILING13_3": (2, 12, 30),
    "TILING13_3_": (2, 12, 30),
    "TILING13_4": (2, 4, 36),
    "TILING13_5_1": (2, 4, 18),
    "TILING13_5_2": (2, 4, 30),
    "TILING14": (12, 12),
    "TEST3": (24,),
    "TEST4": (8,),
    "TEST6": (48, 3),
    "TEST7": (16, 5),
    "TEST10": (6, 3),
    "TEST12": (24, 4),
    "TEST13": (2, 7),
    "SUBCONFIG13": (64,),
}

_DATA = (
    'c-noOhnC#9u0@%HB)2Ee%{iy{|DV<~p6Ry_P{oqkZhNh|w@VU95aHkeV$I9T^<NnI`aRCe_c-'
    'z#@$@}yug705&9sGdnj(#ywz17|`=0l79lxishtvEsq`aTL?<vlGj{Bv&#eF-'
    '89JUz7Huk#+d4{~teY=Y=$F_~re5H@e`Xz^+%Vqzg^wa$~OOHLr$Nn$(bLlyhhYHv~J9s?8*ED<Txldb#I~Nt~rSGYva2H{Q$RiIGaC;UulxB*'
    'z{pWq_qb&VwvFtJMT)FLU1}R_<`8J;6bLnT+a@jxMFD?*jiS=ZUQOn3R$NJd+Wr`dIm&&}~uW73#m5|o{Yfd%SlFPWQcd;+_4`Y9fXZ;ZC<B`O'
    'dI`EM)?2(P#$NUh1kw`GMcyj@U*Ra>Mf5fk67npt2e)7+m!$iD(S3&3_#2)M2ezE3UPxfZ~tbL33{qYwP)EsV842+M!JW|tb|LHtMXY`m47vL-'
    'IF;ht0L}cf9K<wit0`9-Z-'
    'k1Jo9hyAm%~e!8`<<OZVcWOx!iSx2C?$06@xAuFKIGq8eI37bYp4C8{quL?pNM!|imj%0#)DR4YIwnYe5*6GknYb{2BQ!jN#nM^iwHZ`PvLQi_'
    '~Vhsdi=!|`M;a6<-K9Axa<Xb>=+={y*a+LkXvY6GAkoaoBO`-'
    'hxslLK>QPtt!@we;gLuDB3YaQfLr`Fc3b0PikPZ47x3?Xi*IJo`mTbWCnGaXGFxg>_($+Q_G|J80B-'
    'gV!kh6>!4&)@Ab>d5CBqLX;I`iyarPF2?uW7yKU0h6wzsTZ`2G<J9I^eB*~$s85v9!S0RdZx8|o`}2*CU!w$Vz9HY%1G5x13d{LfV8?NUgkq?7'
    '*u|Kog#^;vOG5Bntr_uR^MvtJ5P0^HVXCGuBck+_dN;$LOvHUYur@wOvhKm#)to|XMEe^~OhGWK?|ci&nkU(9XAdk$L<2-'
    'P>YcaK|F{Ecw?&eyo`0rR7dIOb?(Z)}=oY#4oJZ2ba!^w8SEzn)X;C%iZRmjL(if#k3g!K^d4PP_#zzUjMA(Bq#VKrY+w#2B3w*=Nk{CCs?D6F'
    '&L+fCzD5-}iQj_ulr)ckH+KcFBL2?}O;i@o@>fYkR-'
    '&0j79dN@TxnKECr8Pi!OKC;+LgrL(+Ybj+RZ{+4=6xj$G)Y$*<`JBEvZVm9zOulVc@^~BMmLr`FF-'
    'vT0R-S@loZH&bS2<?5G_D7&(@T%M|v6WF8D0s&+zO+11L2kG4Jdw6|-v1ujew(6b_zne1zT`GRYT`FDzTmQi_8>pDyGw-gmplK_wUUQ_FR`Tbk'
    'S}J`!5Ym)fc|Xqx0MfDW@JOCJXxFdOWRKQntXY20V1DE5BpZ|zl6sl+~Eo3Z%;vFUR>aDAN!&LpXKIXJW-'
    '$o9s*hP0sO1vL9K%Qv2ZQ(%s=D+ZFIMX9)N;WhoF`Qcklu7c&x+M$K>ti0#WV&{`El+!wO0ONx;7iyJte$?Jtpr<H@WIdNk(4{)9`YEx7z)AEA'
    ';>YxOPS9xc~;=6|S*3HI9j`7Gm;_5dYV;65sMn1lU>RBz)I0@e8l^dXJPE=ThH<6q!aT6{yu!wlSK?|df!&iOb41sfJ-'
    '99VF(zbJ^ud&o?F!uPFS<Db0J>wfvZ_d4=D{%{4Z;Dsx`^Z+Hma24zkGsa%yng8oTPrLJ@IumG^l0!hRi91{)4@|a<BP94_zvsUJ{X-'
    '$FlIr3gdLVDEpCRUp2XLRc*#Bv;txvpz&x;@7_p(=C{2zf%cvA;ybZq<L1EFAU_PDzWjQ{I_tvKJ@ah<y3-X-'
    'Q(kUwI+M3h&@n*!8ko=AHn7nA?QJlHY!@dfaMhfn-EX?H|;%}(L9Z{^3Z>KoL9eKlSv==Vi|N^*Vyxr9$H{g)cUNgsY+6ePPo%a!jzBntJ^wx8'
    'p_gZZ~h5##SbPUywHvu8q>49s_Qq4CfOHaMLEPfbTY(*DIFn0^;tg@qsbE(l4*^TURF5aZn;fSkt^T*Hp!!WUu|6>uePfmlW!oa2IDv4{`n%Xg'
    'Iko*xSdpq%twM!(iOXX9J`n_2vD@d4IVzF74p3d!3!-'
    '=QDssc{)E3grAM;2Pl+UpZa#t>Rww$ilxZg_&O8R|&8={%_ZM8Tg;^BtQB8%IEWV`P{$o5<`q|tdvPKpnXnJ?gWi3aP^>MgLjJJL2Y)y36%|e<'
    'BO+!9Q7B}L-0R5uu*tW>K3K7{VBFDj{-'
    'CQCBf0_0cHH^s87BArhU7Y<9+=dIP{11_jE+4Wv(g^fW`fZXl=EZBi5%q<Ey^{xEm9s_VpHzckLIwAM;)8^Z2IyvA@elf{@jBd#Ya?oy_vv_T8'
    '3_FWax5X8Tk9dwQzhJk?q2A7EL3uK!G59N)LU_NV+s`yZL{TUAy#VpR6%;OGJEuB{!!?)#aZTKzRdeYAH^seN+*v+bAltC5Z`>hJei|J44G-'
    'eveqdpgKb@51raNBjQRw$grcd<#kYXMR_|rMMgQkH>c~uYcvIr@j8A{U?3d{x5%3I&lmeZSS{GzdS^|epSDID#ustx5VwA>p#-'
    '_`rTfSuiNjQw)U6y??P<WzxMa}%le=6b^b1H_4{Lg8twP9^`rhPzu))vxAxys>wojt>03B*t$(ZkPG8mk<!{n=@u>fozRBOmcj^216yFEMJFp_'
    'wvM2Qls%jCEHqv4uEI`2Evr%ptvA*|zyi4P~67TSMpTN5@UK2XA^ZMFZme(4dal8(7HsYMzk=gmNXE~2GM>LNMk7kc4_k8a+dDp_Zt9OjNZ{yX'
    'gKj2K&`z>B|dhO>7s8Uij$Uy~NcIXK-'
    'p$w2ZLA_B$ibO*st#A52Zi#1;!YHg%h|SDjBk<U!_ExqgRJd^+H5AYQw00P|M7X@qV2vz1SzcgGhR{@MAwCQMajQs^iYqiJQe{LJD3qOyG{P(>'
    'eRoTsup-KsX30#1V;6@5iA&>~>OFORpl(gvM;#D$yo-mZ8-'
    'WXVVX`VS%F(3yLRC(MIw{wPaf)P#SBjq~K?q}&X+?I0cS1qDe`tHExJFS<^X!|TyuvUcsrMJWs_@>KcYx3#`b2@~77e3S^eJ<YJ_i%>VK^V^*V'
    'raY^I=gwm@4%RA^8B7eAsO+J6q!e9P_d7yROYt?fcZ2P2)z?xXwuCotk?On!7POYY(kY=xc2(eD7bbM&#-UuGZM<L9S-'
    'rs%lnyY1J94LAg3*t7Wo!Ppb%D-'
    'HuiEtonNqu~ktlYPD+IMRphKS?PcE1y_S?bxKyrw0c*oh+o~PRhF#!coF4Qkt}MqIPM}lE9<Uueet$cKrbe-Qu5+Hiv+A}ywYleJgGWY$x78G@'
    'JiJ8@EO4cI0b>D`bhBnU2P}$C(y<ppc~+(TDDM#W7)7tlProk5(Q<qvJS1td(nUdqcmjapdp+IlNcN^6OKcSs|i^F9IOXO;`TroaJfaxkwbU|Y'
    '}Tl_C=IsQ)b@dEPrL{Oq4E@tWu78lMXU8E;A}V0cVZ15-'
    '&7%M0z!#$nJEQgT0kjXOYX3vf?g1WSYr)DBjVIG3q>d=(TjkN&ERw3A=@kJET}U%4I5Fx7Q_co%7&G)fE)oylSRto52+HqE=DZ{3oWH?g}DsS7'
    '3MMtH8B-Vl%e904-2+zfj8=LV6q9-Apavfsku1<9DUAl90T||%7Ju8w0H&$jzk_g4l-Lh8r&ft_u0Y`YK_Msx^sjh9R>%<paEh+4i3zT_Z{r-'
    'AmSZ=jyA@A96M}7YaN8Rz`*4^4jiQ)2cXSr7qCKjF#I_1v;zwq<38}n+olN#C4@jv2MFXic9d;n$OJ-l>o711227K+6o#w?D?pLQU2-'
    'NYh2_NKjt(7Rcef$vrL}Y%>^LGH&T??k;q3_fE*)yaOnBU{+luIctj_Kl!XFpNMGW!|YMhx-'
    '2B3H4vnitZ5F0zN?E%(08Xrpf42)CL;WY>Qb=*DT7}~OIjJ=Ngb(<E`LnsiYOZOL?XDw1HTVvUJTmYX<k&o~Jtcp7y$l$1dq&X!9*d;|B_v_{c'
    'D3(0SiYOGL>ZZ+y@F{V<5qHwzVOzT2l~Lf12UQ+c-j9`Kj_fW<GCL&3cC2)BB=;z&1si5nZQ8cQsxcx-WwAr5GPk(jRX9|16%`JLiGELQGD<{@'
    'svwF(W-)CswL4oL-84UsmE(@+M$wokMau=u$UGVX$}h+v;SY<t`&~s!VQb(vQ<`V=+XIIJ4xLa}AikNT-qdv{Oc|S#;%k>{`@o~QQDDOsm1h2X'
    'f>sa(whR+xLJP=h(M1^HY@My;A;%ua%G5{jAcCkdA%1+^hp<-'
    '8cqx`_7GD;S_e3v`N=zuT0Ca)}m!E3JA|*^kWjid$+fA55vB<{BW2ow`cC*@{SVT^$Dimzdb*C9}(afCk4xm`D=W`y_!vS`WozGw>(zyU|z#UQ'
    'Y9rQAuo6`cisP{l;a1%XUfVPV&o<R&mKLZyGp)at4gu`?fKuuWT1(cu#aRCvmmklrQfyRq4-hl<)UN0a+MmhrvMDYwJ)PQjT$Ofg|>H-'
    'bOf4cw$3FizBlrU#Nfa<gb0voCF68H_NSFo#mxdgaYUO`O(M2)lpd6x)n1+U7WOTgL&9znWMK&`-'
    'JKhWP5jGGiwR{)~NatXSTFM(!Ce*{;cqF4b1)eDy(QXO^*9NB*b%aonV3J|%`B`9_X%?gB}mo;bSHy3<3e9jjqS1q(0d)DEF7(1~>GE6y%h83|'
    'Xuh*Cz_9eojnZ@5knLv0olJzc-uUu5|1&66B%|uJAJQIshTyLsa!xaAkpj0iYm!SHttAha@5`BV3X3b2QR<hpNR?%}P2<(}UI<~4S)p>$Ft6`~'
    '^Td0<Ttg9$v?5=l<xmmlJ9VNACH`O{pRPEK>R|~P}y<79Rsvx3j>8YsKpY^^E+8f1})o4`FsuxPTDlKUUsx~Y2VpGk?*iEn0`RFYW%CYVnv_4x'
    'qWqUQ%tFb6pFCf_>+JPirxBqItDwL~Qeo`(>_`2?^Enp~>r0Anm9vAPcDhhZUOX<<1$46GhjpbCG@@NqkEqZ~c>HtA7mV{87pKxPQz3fz3ix7P'
    '>RoB~Xl>lr}^&{KUJ68gV?F76;-F~(QC)S(S%iUK}NpXOzDNo$^D&(t$WD*d{%z}_&%1zY@24@R0wqBJGUlkARs+-N&RSx-TN3X`pjlf)UCGq*'
    '|RIijH2UTS%Cxr`<%^@(POSthNnoAlZyQkB|WRG#t?^f<Gh-'
    '=*8J{*`k407&zh&PZoeF$U8+&1&$Vz9@2X6|<GFv#cOzR%1c*c$YYH5u(+{Ym6PhINtD%wwz$1@d|B8>zb2w1n>Yb|??X%205q0IUurkXDuW<L'
    'P3w$GGTs3wIdAHSTa9%E}!EIcbEL!RMh;HiWTk(`J5L%=Vbi%-zNv2KhYP_n8?~byJTpjnD5(GYv!5MOYS(@h}Y21-q}?bgxTh-Luu%J!-'
    '}jZX-7zra+nNBI@BWSEd{HZaY`qQl>1(+-QaUxxl^`G>53`B8&5wi|RYQtJ(!yqMBMRo_4j`<Dy&8y-QBz?&r?1cI2DA+VQ&L<D#$bwv)-'
    '+xW194b2rD;b+0;kTy*`osEQ-^XBTYwt-JKub@_Vs{B_Yi+->Lc+%<CzRnyPejtn`+=DO(S_L*IE_l;ab)wgqT-'
    'K$?cF1nAoG8ISe&#t=V749%+*F~l0P+Aw=!`-{w7WZ|pk!7o&J&hsfP+Aw=A$?{S?CuQL*f*E3oVzK>Tj$o&*-#o+QI^15P+PA{XI4)``D-'
    'c_t8mDcD0d}W>i`4&n+_8wZGyT$uwIPqN{mpBO{cv0DD^e5MO{$RQ-'
    'h)zV(Uy!R1cwA9?>i5pmJDe)^;6JBL!8F3LOBGAS4Vmpp+VPUMQ<4p!E@7(pZB?+soP_seo*b;7q5zZWD49Ac?RXav98<y_1ubTz0Og>jnpkX@'
    '|~dHD<|YLmhuUFeQHrFnC@)@?tkb%u%n1pdh4DR;f&hZuX5UT<0#&Z0gIS#$ZB_@AyEkt=T@%8|H{MhK$Sy>e;1(xk->cnS5k+KCodvC~8M-'
    'x*<}bn>L^3-MJYxrSxi3n(W#G3=D-y2$38KV)JR<X-'
    'cASu`$Uu6m4^ey=lWko7RT4p=_H&wt)arQ?Q#RceOnXsJy*2G5NBoJem60?5@>jF(IO<Jec~?`SkOseyY&Ve)x$gf3NLtC(mal&*wkSXI;+c7S'
    '3nh&gYlT?`qHQovT$MR#D|><&T$fR<5OD)x@;w(W-'
    '{sYt3NAj@2(?v%0ieO=@*a&Q=szeOj%;NX4qoVO5HigkCnbV5OH;cKfvI2qWiydmrRV^EW}gN#XuJC`h^4-'
    'xl3XUsU9(msP@~lF@bCqqL2J&8}japc<*wf}0fRR#sO`W+HU4qOH7BFUhm<gc-'
    '9+bm5_=Gsi1WWYyAy<D_Rg2hRuyw<7eLn~*sL;hwrZ0#!$Q$0*173CfkAJQAybt|cXx+?96rO}H4d;CxJ>X6*uU!~xzA2Xsdqzz=bR;zpvn!EZ'
    '7$pl+v7-IIcYq^AP{SK<Jwh(n@49N<)K6J-#GP*2>BtDajuX*$e$y6opO&FAx3=d*(6bD8HeuIKX>=d-'
    '%!b0g<7IOp?D=d*X`a|A>r6=2q(I<OYuV$uPfDc}_e$DJUkIzgQE0zv(M3dN{H9;ye)1ywH}bgI|jpAD$?w#)$XsA2{4yIy?=+(7lDR}(sKWK|'
    '5Yt=hILPWh;SWk-R(^d^onxak$2-e@$dO%(D1Amt_eQe`hmr05-s5FX_<y+SEMBBe5-K-F=nF#c-'
    'qLAn)0fD}w#C*7i6!cckR)KoG}yQgR;#`Pvg6|tQs9QLkYv$IOlj{r?c$@HUeML(Jq47Bqnrk^k+L6#IGP^*rmA9AY|zos8zjGgG^dQ~c9hdKf'
    'lgxktvrXRh>ML*ICNVw}fiRnimf_|h$A+~a+^g}wfs@C)aMqmjYGi`d~iiLFKuCN&^lTAOR%Az_7zAGsx6`Owa78?D?3z%P?G0i)0Av{J$6G^('
    'e<BxZ@gf6LxE0BYl9=-'
    'MAgb`H$uiPb!x^>coFU>Zhl(FYqTgR>{`&5t?kKgL8FL#5i2;f+r>fX)Mi447)4`e9EF>AC0A(rJM(i4fSm0|srq*jWhFc!5eS#NDXgG!ayyOP'
    'nCZtWfeK_#!Lv>fEW)(X4B;}{5a!&3DC9hS+A0BI-~tK52YdW+Gst|_D0iFbj&!?hYOO5iD2B&*|B><-'
    's(n4Oh&>n%k;gW_q?(yKSQn(dY)Gs53-Uiry(t9MB#9}@r=*8N(L&b4R;+P(3Jo`WUgAzs6r<JLBmK*bz&-Z5V($*ziHY#3h-'
    ';O#s<H5z$9AGY!79Yy>k83zEILD6%~>%{^oz;SyOhPRqA3b8*?q2z_Ymx31zW~y_M?&XqlL;pl|56F`jKCZ;c3FL@Rl>A*;?Bk-'
    '|62~WMJuZ9BdQ}ivy1AC>R^y-'
    '?ws5W^oab9Y{6w|OWzUbVN<y|9>!<3AvU1j?7O*7viK2t;=KiU&Vq2N|QgxF3P|wHJkfp^>6xTM%rLw!(bgYbgt;lXgx({F6Bi*|J^-'
    'f6c74gL)&Qc`p*&-;)*@E7e-'
    '5M!wl$F!Nxt3&_+F$hz+<eYqY{;czb&erX&qXeZ()lmz;hZ(bG`NjN!Bu06pL8GPvtbHU<>m0bcyy(?ibTWC5rjCn&8?qviJ-'
    ';1>a~YcEqopYug59kI7gC$oyuFLagL`ry)>7M8Co^!UgUKvF2EMtyRIJYY)aNYdpOfL>toB_DDWNvF5_$s-'
    'MY7Xp^b95b&CQ&TBD;T#eY1eqD<%N)c=e+!=n}}$Qi``r<I(S?zH#kU$ugDQtZ?XR&)5;09VJGy5Q6>_g@2?8{Jm1URu!p3%6IDWG<eY$?7d%T'
    'jFYKmws+^`=PIMH(TZ5wP&lZ*Z#1-CV15Z=Hj{Ws}8dcgFQOKY9n78%j)-'
    'D8?*X)ZCv|%hgY3mE}px)_v2)b_OE)y*N!(z{!E+KPP@I?V%6BU`@m7@;mt;?dBvNJ$Gx}Dw2?;+pXp5EIiKk>>+ajFW@i3OV{_K>nO?N{=bJr'
    'e9PBf#U^_$jW?xrh-'
    '|iJBfykTPT|2w@W<Pd_KE2s$o^}G{t%fa8^O<hB?!MhHXXelJd+j~ln;mtF%{Lp}qOvCgEv$1}09IGyUVMPq{7l1hSJHg5muq<VX3tiz@OInQf'
    'b`8)FaYwI26)$_Z+3k(_U#V2VbPntUmekXyM+$gpAEEfhuZ=kbT#h92b!Gk%`Ph#^_eET9VCCVQ7lM&yH_mQ|8@@_@cc|qyXet3Tg@8#cGKH%_'
    '|1m1rOr3I;-7fs@exXYjLaW<;HNP5^^1T{yuA4MJ>AFM{*Tb?V+8xyQlG-'
    '2*IoKgyq)<7XDB*xa%<731EXJZB^@awz1UBu^!p{93TXN<wfdFnuc(w1P^eL({)P@{cfHED){2dp%?}dmiD6w&J87&W%S!qYjaCDx6bNbx*}Qv'
    'k4q!#>ZXIZ~4aJdQO#Q~1+HU3DqcN!3T)&uT`nyakF0EH?CBG`}WS#P=F0&5ET1Q-`JXJxfadhJY-kG!pyd4<TOZegq1idxB^(581x8hwjFXgc'
    'FH_1XVYE6GDy;Uh^Yxy@dqp4aqYq#s<XjN~&b(?to2K)Sb`txra&;K2P^KY`wzmGltw(|Tt_w#Rt&cDw+|5ob!ySGXa9`!Sm+}aO6{Pf|cpMQS'
    '&@x#lHoqx~#(-{`3bDf0FvCpjY%r)vLzkV2>bt~15Utwzf<UoGWb-ufG{pOFcQeZDXJeQxI_YcqePtV&A&;94;?dRwD;d$`CKRmaW=lSDv`0+X'
    'M%**rOI{*8_bLC;Xm4AGWjAc}0wFtTE@I9t2$R$s}o(aK{ouEO{{ihFF<tNSkGZX#%6O*&8=kVc0qI_V^m!Fw6$sO!4w@%GMI@J#sRoygSD_uw'
    'OQ5Oox>=X`M^&55lE|TT-'
    '<8#>UfMk|z=0!_LB!MJoltz#S%^+Lf)Yy;e{Hx=I?5&Gy=a>CO|3!u;`;Gqb{ri`1|MulKFMs*fAAk3sw!QoMi<e*i^{ZdJ{Q0{-{Py2G@~4-'
    'V-~8+4_b>na^*{dp-~R`mMp<_'
)


@functools.cache
def tables() -> tuple[np.ndarray, tuple[int, ...]]:
    """All tables flat, and where each begins."""
    flat = np.frombuffer(zlib.decompress(base64.b85decode(_DATA)), np.int8)
    begins, at = [], 0
    for shape in SHAPES.values():
        begins.append(at)
        at += math.prod(shape)
    return flat, tuple(begins)
